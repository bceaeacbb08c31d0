package notify

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"slices"
	"time"

	"stepaway/x11"
)

// Banner shows a warning along the bottom of every monitor of an X display: desktops put notifications at the top,
// and one must not hide the other. It takes no focus, and clicks go through it to what lies under it.
type Banner struct {
	display    string
	xauthority string
	wanted     latest[*Message]
}

// NewBanner is a banner on an X display such as ":0", let in by the cookie in the file xauthority, if it has one.
func NewBanner(display, xauthority string) *Banner {
	return &Banner{display: display, xauthority: xauthority, wanted: newLatest[*Message]()}
}

// Show shows m, in place of what is shown, and puts the banner on top again.
func (b *Banner) Show(m Message) { b.wanted.put(&m) }

// Hide takes the banner away.
func (b *Banner) Hide() { b.wanted.put(nil) }

// Run serves Show and Hide until ctx ends, and then takes the banner away. It is connected to the X server only
// while there is something to show. No request waits for longer than two seconds.
func (b *Banner) Run(ctx context.Context) {
	var s sheets
	defer s.close()
	said := ""
	for {
		var m *Message
		select {
		case <-ctx.Done():
			return
		case m = <-b.wanted:
		}
		if m == nil {
			s.close()
			continue
		}
		if err := s.show(ctx, b, *m); err != nil {
			s.close()
			if text := err.Error(); text != said {
				said = text
				log.Printf("banner not shown: %v", err)
			}
		}
	}
}

// sheets are the windows of a banner, one for each monitor.
type sheets struct {
	conn   *x11.Conn
	places []x11.Rect
	each   []sheet
}

type sheet struct{ window, gc uint32 }

func (s *sheets) show(ctx context.Context, b *Banner, m Message) error {
	if s.conn == nil {
		if err := s.connect(ctx, b); err != nil {
			return err
		}
	}
	places, err := s.find()
	if err != nil {
		return fmt.Errorf("find room for the banner: %w", err)
	}
	if !slices.Equal(places, s.places) {
		if err := s.lay(places); err != nil {
			return err
		}
	}
	for i, sh := range s.each {
		if err := s.draw(sh, s.places[i], m); err != nil {
			return fmt.Errorf("draw banner: %w", err)
		}
	}
	return s.conn.Sync()
}

func (s *sheets) connect(ctx context.Context, b *Banner) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	cookie, _ := x11.ReadCookie(b.xauthority, b.display) // without one the server decides
	conn, err := x11.Dial(ctx, b.display, cookie)
	if err != nil {
		return err
	}
	conn.SetTimeout(patient)
	s.conn = conn
	return nil
}

// find is where the banner goes: on every monitor at the bottom of what panels leave free.
func (s *sheets) find() ([]x11.Rect, error) {
	places, err := s.conn.Monitors()
	if err != nil {
		return nil, err
	}
	free, err := s.freeTo()
	if err != nil {
		return nil, err
	}
	for i := range places {
		places[i] = along(places[i], free)
	}
	return places, nil
}

// along is the banner's place on a monitor whose room ends at the height free. A panel that claims more than a quarter
// of the monitor is not believed.
func along(monitor x11.Rect, free int) x11.Rect {
	height := sheetHeight(int(monitor.Height))
	bottom := int(monitor.Y) + int(monitor.Height)
	if free < bottom && free > bottom-int(monitor.Height)/4 {
		bottom = free
	}
	monitor.Y = int16(bottom - height)
	monitor.Height = uint16(height)
	return monitor
}

// freeTo is where panels at the bottom of the screen begin, by the window manager's word; without it, the screen's end.
func (s *sheets) freeTo() (int, error) {
	atom, err := s.conn.InternAtom("_NET_WORKAREA")
	if err != nil {
		return 0, err
	}
	area, err := s.conn.GetProperty(s.conn.Screen.Root, atom, 16) // x, y, width, height of the first desktop
	if err != nil {
		return 0, err
	}
	if area.Format != 32 || len(area.Data) < 16 {
		return int(s.conn.Screen.Height), nil
	}
	y, height := binary.LittleEndian.Uint32(area.Data[4:]), binary.LittleEndian.Uint32(area.Data[12:])
	return int(min(y, math.MaxInt16)) + int(min(height, math.MaxInt16)), nil
}

// lay puts a window in each of places, instead of those of before.
func (s *sheets) lay(places []x11.Rect) error {
	for _, sh := range s.each {
		if err := s.conn.DestroyWindow(sh.window); err != nil {
			return err
		}
	}
	s.places, s.each = places, nil
	for _, p := range places {
		sh, err := s.open(p)
		if err != nil {
			return fmt.Errorf("make the banner's window: %w", err)
		}
		s.each = append(s.each, sh)
	}
	return nil
}

// open makes a banner's window, which is not yet on the screen.
func (s *sheets) open(p x11.Rect) (sheet, error) {
	window, err := s.conn.CreateWindow(x11.Window{X: p.X, Y: p.Y, Width: p.Width, Height: p.Height,
		Background: s.conn.Screen.Pixel(ink.R, ink.G, ink.B), OverrideRedirect: true})
	if err != nil {
		return sheet{}, err
	}
	if err := s.conn.ClickThrough(window); err != nil {
		return sheet{}, err
	}
	if err := s.conn.ChangeProperty(window, x11.AtomWMName, x11.AtomString, 8, []byte("Stepaway")); err != nil {
		return sheet{}, err
	}
	gc, err := s.conn.CreateGC(window)
	if err != nil {
		return sheet{}, err
	}
	return sheet{window, gc}, nil
}

// draw brings one banner up to date. It is drawn before it is put on the screen, so that it never appears empty.
func (s *sheets) draw(sh sheet, p x11.Rect, m Message) error {
	img := drawSheet(m, int(p.Width), int(p.Height))
	if err := s.conn.MapWindow(sh.window); err != nil {
		return err
	}
	if err := s.conn.Raise(sh.window); err != nil {
		return err
	}
	return s.conn.PutImage(sh.window, sh.gc, 0, 0, img)
}

// close gives the connection up, and the server takes the windows away with it.
func (s *sheets) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	*s = sheets{}
}

// patient bounds every wait for the session bus, a notification service or an X server.
const patient = 2 * time.Second
