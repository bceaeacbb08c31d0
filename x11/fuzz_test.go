package x11

import (
	"bytes"
	"testing"
)

// message makes the bytes of a whole message out of what the fuzzer gives: no parser is called with fewer than
// the 32 bytes that the framing guarantees.
func message(b []byte) []byte {
	return append(bytes.Clone(b), make([]byte, max(0, 32-len(b)))...)
}

func FuzzSetup(f *testing.F) {
	f.Add([]byte{})
	f.Add(greetingOf(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSetup(b)
		if err == nil && (s.idMask == 0 || s.maxRequest < 4096) {
			t.Errorf("taken: %+v", s)
		}
		s.screen.Pixel(1, 2, 3)
		s.screen.stride(100)
	})
}

func FuzzMessages(f *testing.F) {
	f.Add(message([]byte{1, 0, 1, 0, 2, 0, 0, 0}))
	f.Add(append(message([]byte{35, 131, 1, 0, 1, 0, 0, 0}), 1, 2, 3, 4))
	f.Add([]byte{35, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			m, err := readMessage(r)
			if err != nil {
				return
			}
			if len(m) < 32 || len(m) > maxMessage {
				t.Fatalf("a message of %d bytes", len(m))
			}
		}
	})
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte{}, 10)
	f.Add(append(message([]byte{1, 32, 0, 0, 0, 0, 0, 0, 31, 0, 0, 0, 0, 0, 0, 0, 1}), 1, 2, 3, 4), 4)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		m := message(b)
		parseTree(m)
		if p, err := parseProperty(m, max(limit, 0)); err == nil && len(p.Data) > max(limit, 0) {
			t.Errorf("%d bytes of at most %d", len(p.Data), limit)
		}
		parseCounters(m)
		if pid, err := parseClientPID(m); err == nil && pid < 0 {
			t.Errorf("pid %d", pid)
		}
		for _, parse := range []func([]byte) ([]Rect, error){parseMonitors, parseScreens} {
			if list, err := parse(m); err == nil && len(list) > maxMonitors {
				t.Errorf("%d monitors", len(list))
			}
		}
		newError(m)
	})
}

func FuzzDevices(f *testing.F) {
	f.Add([]byte{})
	f.Add(devicesOf(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseDevices(message(b))
		if err == nil && len(list) > maxDevices {
			t.Errorf("%d devices", len(list))
		}
		for _, d := range list {
			if len(d.Name) > maxName {
				t.Errorf("a name of %d bytes", len(d.Name))
			}
		}
	})
}

func FuzzRawEvent(f *testing.F) {
	motion := []byte{35, 131, 0, 0, 10, 0, 0, 0, 17, 0, 2, 0, 1, 2, 3, 4, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}
	f.Add(append(motion, make([]byte, 32)...))
	f.Add(motion[:32])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseRaw(message(b))
		if ok && r.Kind != RawMotion && r.Moved != [2]bool{} {
			t.Errorf("%+v", r)
		}
		c := Conn{exts: map[string]extension{"SYNC": {true, 134, 83}, "XInputExtension": {true, 131, 0}}}
		e := newEvent(message(b))
		c.RawEvent(e)
		c.AlarmEvent(e)
		c.DevicesChanged(e)
		e.Window()
	})
}

func FuzzCookie(f *testing.F) {
	f.Add(entry(familyLocal, "host", "7", magicCookie, secret('o')), ":7")
	f.Add([]byte("\x01\x00\xff\xff"), ":")
	f.Fuzz(func(t *testing.T, b []byte, display string) {
		c, err := pickCookie(b, display, "host")
		if err == nil && (c.Name != magicCookie || len(c.Data) != 16) {
			t.Errorf("picked %d bytes of %q", len(c.Data), c.Name)
		}
		if len(greeting(c))%4 != 0 {
			t.Error("greeting of odd length")
		}
	})
}

// greetingOf makes the body of a small server's greeting.
func greetingOf(testing.TB) []byte {
	b := words(1, 0x200000, 0x1fffff, 256, pair(4, 65535), 1|1<<8, 0, 0)
	b = append(b, "Xtst"...)
	b = append(b, 24, 32, 32, 0, 0, 0, 0, 0)
	b = append(b, words(77, 1, 0xffffff, 0, 0, pair(800, 600), 0, 0, 33, 24<<16|1<<24)...)
	b = append(b, words(24|1<<16, 0)...)
	b[len(b)-8], b[len(b)-6], b[len(b)-5] = 24, 1, 0
	return append(b, words(33, 4, 0xff0000, 0xff00, 0xff, 0)...)
}

// devicesOf makes a reply that lists one pointer with one absolute axis.
func devicesOf(testing.TB) []byte {
	m := message([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	m = append(m, words(pair(4, 3), pair(2, 1), pair(5, 1))...)
	m = padded(m, "mouse")
	class := make([]byte, 44)
	copy(class, []byte{2, 0, 11, 0, 4, 0, 0, 0})
	class[40] = 1
	return append(m, class...)
}

func TestParsersTakeWhatTheSeedsSay(t *testing.T) {
	s, err := parseSetup(greetingOf(t))
	if err != nil || s.screen.Root != 77 || s.screen.Depth != 24 || s.screen.BitsPerPixel != 32 || s.screen.Red != 0xff0000 {
		t.Errorf("%+v, %v", s, err)
	}
	if p := s.screen.Pixel(1, 2, 3); p != 0x010203 {
		t.Errorf("pixel %x", p)
	}
	d, err := parseDevices(devicesOf(t))
	if err != nil || len(d) != 1 || d[0].Name != "mouse" || d[0].Absolute != [2]bool{true, false} {
		t.Errorf("%+v, %v", d, err)
	}
}
