package x11

// ClickThrough makes a window take no pointer input: what is under it gets it.
func (c *Conn) ClickThrough(window uint32) error {
	e, err := c.extension("SHAPE")
	if err != nil {
		return err
	}
	const rectangles, set, input = 1, 0, 2
	return c.send(e.major, rectangles, words(set|input<<8, window, 0))
}
