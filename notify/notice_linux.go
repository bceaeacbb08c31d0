package notify

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service = "org.freedesktop.Notifications"
	object  = "/org/freedesktop/Notifications"
)

// actionContinue is the name of our action; clicking on the notification itself is "default".
const actionContinue = "continue"

var errSlow = errors.New("no answer within 2 s")

// Notice shows a warning as a notification of the desktop, which it renews in place. It never has more than one
// call unanswered, so a service that hangs and comes back shows one notification and not fifty.
type Notice struct {
	app    string
	icon   map[string]dbus.Variant
	report func(Report)
	wanted latest[*Message]
}

// NewNotice is a notification in the name of app. report is called from one goroutine and must not block.
func NewNotice(app string, icon image.Image, report func(Report)) *Notice {
	return &Notice{app: app, icon: hints(icon), report: report, wanted: newLatest[*Message]()}
}

// Show shows m, in place of what is shown.
func (n *Notice) Show(m Message) { n.wanted.put(&m) }

// Hide takes the notification away.
func (n *Notice) Hide() { n.wanted.put(nil) }

// hints make a notification stay until it is answered, out of the history, with the icon and without a sound. The
// colours are those of the banner; services that do not know these hints leave them aside.
func hints(icon image.Image) map[string]dbus.Variant {
	h := map[string]dbus.Variant{
		"urgency":        dbus.MakeVariant(byte(2)),
		"resident":       dbus.MakeVariant(true),
		"transient":      dbus.MakeVariant(true),
		"suppress-sound": dbus.MakeVariant(true),
		"bgcolor":        dbus.MakeVariant(hex(ink)),
		"fgcolor":        dbus.MakeVariant(hex(white)),
		"frcolor":        dbus.MakeVariant(hex(amber)),
		"desktop-entry":  dbus.MakeVariant("stepaway-tray"),
	}
	if icon != nil {
		size := icon.Bounds().Size()
		h["image-data"] = dbus.MakeVariant(struct {
			Width, Height, Stride  int32
			Alpha                  bool
			BitsPerSample, Samples int32
			Pixels                 []byte
		}{int32(size.X), int32(size.Y), int32(4 * size.X), true, 8, 4, pixels(icon)})
	}
	return h
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Run serves Show and Hide until ctx ends, and then takes the notification away. It connects to the session bus
// when there is something to show.
func (n *Notice) Run(ctx context.Context) {
	b := bubble{Notice: n}
	defer b.leave()
	for {
		select {
		case <-ctx.Done():
			b.finish()
			return
		case b.want = <-n.wanted:
			b.settle()
		case s, ok := <-b.signals:
			b.hear(s, ok)
		case call := <-b.asked:
			b.answered(call)
		case <-b.late:
			b.late = nil
			n.report(Report{Err: errSlow})
		}
	}
}

// bubble is the notification as far as it is known.
type bubble struct {
	*Notice
	want    *Message
	sent    *Message
	conn    *dbus.Conn
	signals chan *dbus.Signal
	asked   chan *dbus.Call  // the answer to the one call that is under way; nil: none is
	late    <-chan time.Time // the answer is overdue
	id      uint32           // the service's name for the notification; 0: there is none
}

// settle brings the notification to what is wanted, unless an answer has to be awaited first.
func (b *bubble) settle() {
	switch {
	case b.asked != nil:
	case b.want == nil:
		b.close()
	case b.conn == nil && !b.connect():
	default:
		b.show()
	}
}

func (b *bubble) show() {
	b.asked = make(chan *dbus.Call, 1)
	b.late = time.After(patient)
	b.sent = b.want
	m := b.want
	button := plain(m.Button)
	b.conn.Object(service, object).Go(service+".Notify", 0, b.asked, b.app, b.id, "", plain(m.Title), plain(m.What+" "+m.How),
		[]string{"default", "", actionContinue, button}, b.icon, int32(0))
}

// close takes the notification away and does not wait.
func (b *bubble) close() {
	if b.id == 0 || b.conn == nil {
		return
	}
	b.conn.Object(service, object).Go(service+".CloseNotification", dbus.FlagNoReplyExpected, nil, b.id)
	b.id = 0
}

// finish takes the notification away before the end. One that is just being made is waited for, but not long.
func (b *bubble) finish() {
	if b.asked != nil && b.id == 0 {
		select {
		case call := <-b.asked:
			_ = call.Store(&b.id) // an error leaves no notification to take away
		case <-time.After(patient / 4):
		}
	}
	b.close()
}

// answered takes the service's answer to show. The message may have changed meanwhile.
func (b *bubble) answered(call *dbus.Call) {
	b.asked, b.late = nil, nil
	var id uint32
	if err := call.Store(&id); err != nil {
		b.id = 0
		b.report(Report{Err: fmt.Errorf("show notification: %w", err)})
		return
	}
	b.id = id
	b.report(Report{})
	if b.want != b.sent {
		b.settle()
	}
}

// hear takes a signal of the service or the bus.
func (b *bubble) hear(s *dbus.Signal, ok bool) {
	if !ok {
		b.leave()
		b.report(Report{Err: errors.New("the session bus closed the connection")})
		return
	}
	switch s.Name {
	case service + ".ActionInvoked":
		var id uint32
		var action string
		if dbus.Store(s.Body, &id, &action) == nil && id == b.id && id != 0 {
			b.report(Report{Continued: true})
		}
	case service + ".NotificationClosed":
		b.closed(s)
	case "org.freedesktop.DBus.NameOwnerChanged":
		b.owner(s)
	}
}

// closed notes that the notification is gone: dismissed by the person, which hides it, or run out, in spite of what
// was asked for, which does not.
func (b *bubble) closed(s *dbus.Signal) {
	const dismissed = 2
	var id, reason uint32
	if dbus.Store(s.Body, &id, &reason) != nil || id != b.id || id == 0 {
		return
	}
	b.id = 0
	if reason == dismissed {
		b.report(Report{Continued: true})
	}
}

// owner notes that the service came, went or was replaced: with it went the notification.
func (b *bubble) owner(s *dbus.Signal) {
	var name, before, after string
	if dbus.Store(s.Body, &name, &before, &after) != nil || name != service {
		return
	}
	if before != "" {
		b.id, b.asked, b.late = 0, nil, nil
	}
	b.settle()
}

// connect reaches the session bus within two seconds, and starts none.
func (b *bubble) connect() bool {
	ctx, cancel := context.WithCancel(context.Background()) // to live on while Run says goodbye
	slow := time.AfterFunc(patient, cancel)
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx))
	if err == nil {
		err = greet(ctx, conn)
	}
	if err == nil && !slow.Stop() {
		err = errSlow
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		cancel()
		b.report(Report{Err: fmt.Errorf("connect to the session bus: %w", err)})
		return false
	}
	b.conn, b.signals = conn, make(chan *dbus.Signal, 16)
	conn.Signal(b.signals)
	context.AfterFunc(conn.Context(), cancel)
	return true
}

// greet signs on to the bus and asks for the signals of the service.
func greet(ctx context.Context, conn *dbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	if err := conn.Hello(); err != nil {
		return err
	}
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(service), dbus.WithMatchInterface(service),
		dbus.WithMatchObjectPath(object)); err != nil {
		return err
	}
	return conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service))
}

// leave gives the connection up.
func (b *bubble) leave() {
	if b.conn != nil {
		b.conn.Close()
	}
	b.conn, b.signals, b.asked, b.late, b.id = nil, nil, nil, nil, 0
}

// plain takes out what some notification services read as markup.
func plain(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		switch r {
		case '&':
			r = '+'
		case '<', '>':
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

// pixels is img as notifications carry it: rows of red, green, blue and alpha, not premultiplied.
func pixels(img image.Image) []byte {
	box := img.Bounds()
	out := make([]byte, 0, 4*box.Dx()*box.Dy())
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			r, g, b, a := img.At(x, y).RGBA()
			if a == 0 {
				out = append(out, 0, 0, 0, 0)
				continue
			}
			out = append(out, byte(r*255/a), byte(g*255/a), byte(b*255/a), byte(a>>8))
		}
	}
	return out
}
