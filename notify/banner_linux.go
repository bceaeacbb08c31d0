package notify

import (
	"context"
	"fmt"
	"log"
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
	places, err := s.conn.Monitors()
	if err != nil {
		return fmt.Errorf("list monitors: %w", err)
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

// lay puts a window along the bottom of every monitor, in place of those of before.
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

func (s *sheets) open(p x11.Rect) (sheet, error) {
	height := sheetHeight(int(p.Height))
	window, err := s.conn.CreateWindow(x11.Window{X: p.X, Y: p.Y + int16(int(p.Height)-height), Width: p.Width, Height: uint16(height),
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
	return sheet{window, gc}, s.conn.MapWindow(window)
}

func (s *sheets) draw(sh sheet, p x11.Rect, m Message) error {
	if err := s.conn.Raise(sh.window); err != nil {
		return err
	}
	return s.conn.PutImage(sh.window, sh.gc, 0, 0, drawSheet(m, int(p.Width), sheetHeight(int(p.Height))))
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
