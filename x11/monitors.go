package x11

// Monitors lists the places of the monitors in the root window, the primary one first: from RANDR 1.5, else from
// Xinerama, else the whole screen as one. It is never empty.
func (c *Conn) Monitors() ([]Rect, error) {
	list, err := c.randrMonitors()
	if err != nil || len(list) == 0 {
		if c.broken != nil {
			return nil, c.broken
		}
		list, err = c.xineramaScreens()
	}
	if err != nil || len(list) == 0 {
		if c.broken != nil {
			return nil, c.broken
		}
		list = []Rect{{Width: c.Screen.Width, Height: c.Screen.Height}}
	}
	return list, nil
}

const maxMonitors = 64

func (c *Conn) randrMonitors() ([]Rect, error) {
	e, err := c.extension("RANDR")
	if err != nil {
		return nil, err
	}
	if _, err := c.ask(e.major, 0, words(1, 5)); err != nil {
		return nil, err
	}
	const getMonitors = 42
	m, err := c.ask(e.major, getMonitors, words(c.Screen.Root, 1))
	if err != nil {
		return nil, err
	}
	return parseMonitors(m)
}

func parseMonitors(m []byte) ([]Rect, error) {
	n := min(le.Uint32(m[12:]), maxMonitors)
	s := scan{b: m[32:]}
	var out []Rect
	for ; n > 0 && !s.short; n-- {
		s.take(4) // name
		primary := s.u8() == 1
		s.take(1)
		outputs := int(s.u16())
		r := readRect(&s)
		s.take(8 + 4*outputs)
		if primary {
			out = append([]Rect{r}, out...)
		} else {
			out = append(out, r)
		}
	}
	return visible(out), s.err("the list of monitors")
}

func (c *Conn) xineramaScreens() ([]Rect, error) {
	e, err := c.extension("XINERAMA")
	if err != nil {
		return nil, err
	}
	const queryScreens = 5
	m, err := c.ask(e.major, queryScreens, nil)
	if err != nil {
		return nil, err
	}
	return parseScreens(m)
}

func parseScreens(m []byte) ([]Rect, error) {
	n := min(le.Uint32(m[8:]), maxMonitors)
	s := scan{b: m[32:]}
	var out []Rect
	for ; n > 0 && !s.short; n-- {
		out = append(out, readRect(&s))
	}
	return visible(out), s.err("the list of screens")
}

// visible drops places of no size, in which no window could be made.
func visible(list []Rect) []Rect {
	out := list[:0]
	for _, r := range list {
		if r.Width > 0 && r.Height > 0 {
			out = append(out, r)
		}
	}
	return out
}
