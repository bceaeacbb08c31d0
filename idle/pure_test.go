package idle

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"stepaway/session"
	"stepaway/still"
	"stepaway/x11"
)

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		facts Facts
		want  string
		says  string
	}{
		"a desk":                       {Facts{Root: true, Kind: session.X11, Seat: "seat0", Hardware: 3, Virtual: 1, Display: ":0", Cookie: true}, Evdev, "idle: [root=yes kind=x11 seat=seat0 evdev=3 virtual=1 display=:0 cookie=yes notifier=0 mutter=no tty=no ret=evdev]"},
		"Wayland at a desk":            {Facts{Root: true, Kind: session.Wayland, Seat: "seat0", Hardware: 1}, Evdev, ""},
		"a text console":               {Facts{Root: true, Kind: session.TTY, Seat: "seat0", Hardware: 1, Terminal: true}, Evdev, ""},
		"of unknown kind at a desk":    {Facts{Root: true, Seat: "seat0", Hardware: 1}, Evdev, "kind=unknown"},
		"only what a program made":     {Facts{Root: true, Kind: session.X11, Seat: "seat0", Virtual: 2}, None, ""},
		"no keyboard, but a display":   {Facts{Root: true, Kind: session.X11, Seat: "seat0", Display: ":0", Cookie: true}, X11, "no device of the seat"},
		"no rights":                    {Facts{Kind: session.X11, Seat: "seat0", Hardware: 3, Display: ":0", Cookie: true}, X11, ""},
		"a remote display":             {Facts{Root: true, Kind: session.X11, Hardware: 3, Display: ":10", Cookie: true}, X11, ""},
		"a display that refuses":       {Facts{Root: true, Kind: session.X11, Display: ":10", Why: "the server refused"}, None, "the server refused"},
		"a display and no word for it": {Facts{Root: true, Kind: session.X11, Terminal: true}, None, "does not tell its input"},
		"Wayland, no devices":          {Facts{Root: true, Kind: session.Wayland, Seat: "seat0", Display: ":0", Cookie: true, Terminal: true}, None, "tells nothing of input"},
		"Wayland that is told of":      {Facts{Root: true, Kind: session.Wayland, Seat: "seat0", Virtual: 1, Notifier: 2}, Notifier, "notifier=2"},
		"Wayland beside devices":       {Facts{Root: true, Kind: session.Wayland, Seat: "seat0", Hardware: 1, Had: true, Notifier: 2, Mutter: true}, Evdev, ""},
		"Wayland, no rights":           {Facts{Kind: session.Wayland, Notifier: 3}, Notifier, "injected input counts"},
		"Wayland with inhibitors":      {Facts{Kind: session.Wayland, Notifier: 1}, None, "honours inhibitors"},
		"GNOME without devices":        {Facts{Root: true, Kind: session.Wayland, Mutter: true}, Mutter, "the compositor's word"},
		"a compositor with both":       {Facts{Root: true, Kind: session.Wayland, Notifier: 2, Mutter: true}, Notifier, ""},
		"inhibitors, and GNOME's":      {Facts{Root: true, Kind: session.Wayland, Notifier: 1, Mutter: true}, Mutter, ""},
		"Wayland, devices unplugged":   {Facts{Root: true, Kind: session.Wayland, Seat: "seat0", Had: true, Notifier: 2, Mutter: true}, None, "the seat had devices"},
		"Wayland that refuses":         {Facts{Root: true, Kind: session.Wayland, Why: "no bus"}, None, "no bus"},
		"a notifier, but of X11":       {Facts{Root: true, Kind: session.X11, Notifier: 2, Mutter: true}, None, ""},
		"ssh":                          {Facts{Root: true, Kind: session.SSH, Terminal: true}, TTY, ""},
		"ssh with a display":           {Facts{Root: true, Kind: session.SSH, Display: ":10", Cookie: true, Terminal: true}, TTY, ""},
		"ssh without a terminal":       {Facts{Root: true, Kind: session.SSH}, None, ""},
		"startx, no rights":            {Facts{Kind: session.TTY, Display: ":0", Cookie: true, Terminal: true}, X11, ""},
		"of unknown kind":              {Facts{Root: true, Terminal: true}, TTY, ""},
		"nothing known":                {Facts{}, None, "ret=none"},
	} {
		got := Choose(c.facts)
		if got.Source != c.want || !strings.Contains(got.Why, c.says) || strings.Contains(got.Why, "\n") {
			t.Errorf("%s: %+v, want %s, %q", name, got, c.want, c.says)
		}
	}
}

func TestClassify(t *testing.T) {
	core := []x11.Device{{ID: 2, Use: x11.MasterPointer, Name: "Virtual core pointer"}, {ID: 3, Use: x11.MasterKeyboard, Name: "Virtual core keyboard"},
		{ID: 4, Use: x11.SlavePointer, Name: "Virtual core XTEST pointer"}, {ID: 5, Use: x11.SlaveKeyboard, Name: "Virtual core XTEST keyboard"}}
	with := func(more ...x11.Device) []x11.Device { return append(core[:4:4], more...) }
	xvfb := with(x11.Device{ID: 6, Use: x11.SlavePointer, Name: "Xvfb mouse"}, x11.Device{ID: 7, Use: x11.SlaveKeyboard, Name: "Xvfb keyboard"})
	for name, c := range map[string]struct {
		devices  []x11.Device
		assume   bool
		believed []uint16
		not      []uint16
	}{
		"a desk":                  {with(x11.Device{ID: 8, Use: x11.SlaveKeyboard, Name: "AT Translated Set 2 keyboard"}), false, []uint16{8}, []uint16{2, 3, 4, 5, 9}},
		"a second master":         {with(x11.Device{ID: 8, Use: x11.SlavePointer, Name: "Logitech"}, x11.Device{ID: 9, Use: x11.SlavePointer, Name: "aux XTEST pointer"}), false, []uint16{8}, []uint16{9}},
		"a detached mouse":        {with(x11.Device{ID: 8, Use: x11.Floating, Name: "Logitech"}), false, []uint16{8}, []uint16{4, 5}},
		"Xvfb":                    {xvfb, false, []uint16{4, 5, 6}, nil},
		"Xvfb, assuming hardware": {xvfb, true, []uint16{6}, []uint16{4, 5, 77}},
		"xrdp":                    {with(x11.Device{ID: 6, Use: x11.SlavePointer, Name: "xrdpMouse"}, x11.Device{ID: 7, Use: x11.SlaveKeyboard, Name: "xrdpKeyboard"}), false, []uint16{6, 7}, []uint16{4, 5}},
		"TigerVNC":                {with(x11.Device{ID: 6, Use: x11.SlavePointer, Name: "TigerVNC pointer"}, x11.Device{ID: 7, Use: x11.SlaveKeyboard, Name: "TigerVNC keyboard"}), false, []uint16{6, 7}, []uint16{4, 5}},
		"no devices":              {nil, false, []uint16{4}, nil},
	} {
		got := classify(c.devices, c.assume)
		for _, id := range c.believed {
			if !got.believes(id) {
				t.Errorf("%s: device %d is not believed", name, id)
			}
		}
		for _, id := range c.not {
			if got.believes(id) {
				t.Errorf("%s: device %d is believed", name, id)
			}
		}
	}
}

func TestCapability(t *testing.T) {
	for name, c := range map[string]struct {
		key, rel, abs, prop string
		want                bool
	}{
		"AT keyboard":        {"402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe", "", "", "0", true},
		"barcode scanner":    {"e080ffdf01cfffff fffffffffffffffe", "", "", "0", true},
		"USB mouse":          {"ff0000 0 0 0 0", "143", "0", "0", true},
		"trackpoint":         {"70000 0 0 0 0", "3", "", "21", true},
		"touchpad":           {"e520 10000 0 0 0 0", "0", "2e0800000000003", "5", true},
		"touchscreen":        {"400 0 0 0 0 0", "0", "2608000 3", "2", true},
		"pen":                {"1c03 0 0 0 0 0", "", "1000d000003", "2", true},
		"tablet of a VM":     {"1f0000 0 0 0 0", "100", "3", "0", true},
		"power button":       {"10000000000000 0", "", "", "0", false},
		"lid":                {"0", "", "", "0", false},
		"volume buttons":     {"e000000000000 0", "", "", "0", false},
		"gamepad":            {"7fdb000000000000 0 0 0 0", "0", "3003f", "0", false},
		"joystick":           {"fff00000000 0 0 0 0", "", "3001f", "0", false},
		"accelerometer":      {"0", "", "7", "40", false},
		"headphone jack":     {"", "", "", "", false},
		"nothing that reads": {"zz", "-1", "fffffffffffffffff", "x", false},
	} {
		got := capability{parseBitmap(c.key), parseBitmap(c.rel), parseBitmap(c.abs), parseBitmap(c.prop)}.touchedByPeople()
		if got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// event makes the bytes of a struct input_event.
func event(at time.Duration, kind, code uint16, value int32) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(at/time.Second))
	b = binary.LittleEndian.AppendUint64(b, uint64(at%time.Second/time.Microsecond))
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint16(b, code)
	return binary.LittleEndian.AppendUint32(b, uint32(value))
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestReader(t *testing.T) {
	const s = time.Second
	syn := func(at time.Duration) []byte { return event(at, evSyn, 0, 0) }
	rel := func(at time.Duration, x, y int32) []byte {
		return join(event(at, evRel, relX, x), event(at, evRel, relY, y), syn(at))
	}
	abs := func(at time.Duration, x, y int32) []byte {
		return join(event(at, evAbs, absX, x), event(at, evAbs, absY, y), syn(at))
	}
	var tremble, drift []byte
	for i := range 600 {
		at := 10*s + time.Duration(i)*100*time.Millisecond
		tremble = append(tremble, rel(at, int32(i%2*6-3), 0)...)
		drift = append(drift, rel(10*s+time.Duration(i)*11*s, 1, 0)...)
	}
	const now = 100 * time.Hour
	for name, c := range map[string]struct {
		in   []byte
		want time.Duration
	}{
		"key down":             {join(event(5*s, evKey, 30, 1), syn(5*s)), 5 * s},
		"key up":               {join(event(5*s, evKey, 30, 0), syn(5*s)), 5 * s},
		"key held":             {join(event(5*s, evKey, 30, 1), syn(5*s), event(9*s, evKey, 30, 2), syn(9*s)), 5 * s},
		"the last of several":  {join(event(5*s, evKey, 30, 1), event(6*s, evKey, 31, 1), event(7*s, evMsc, 4, 1)), 6 * s},
		"button":               {event(5*s, evKey, btnLeft, 1), 5 * s},
		"wheel":                {event(5*s, evRel, relWheel, -1), 5 * s},
		"nine pixels":          {rel(5*s, 9, -9), 0},
		"ten pixels":           {rel(5*s, 0, -10), 5 * s},
		"ten in steps":         {join(rel(5*s, 4, 0), rel(6*s, 4, 0), rel(7*s, 2, 0), rel(8*s, 2, 0)), 7 * s},
		"after a rest":         {join(rel(5*s, 9, 0), rel(16*s, 9, 0)), 0},
		"trembling in place":   {tremble, 0},
		"a slow drift":         {drift, 0},
		"the first place":      {abs(5*s, 500, 500), 0},
		"a place nearby":       {join(abs(5*s, 500, 500), abs(6*s, 505, 500)), 0},
		"a place further":      {join(abs(5*s, 500, 500), abs(6*s, 515, 500)), 6 * s},
		"a finger comes":       {event(5*s, evAbs, absTracking, 7), 5 * s},
		"pressure":             {join(event(5*s, evAbs, 0x18, 70), syn(5*s)), 0},
		"the kernel dropped":   {event(5*s, evSyn, synDropped, 0), 5 * s},
		"a light":              {event(5*s, 0x11, 1, 1), 0},
		"in the future":        {event(200*time.Hour, evKey, 30, 1), now},
		"a time out of bounds": {join(event(0, 1, 30, 1)[:8], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, event(0, 1, 30, 1)[16:]), now},
		"a torn event":         {event(5*s, evKey, 30, 1)[:20], 0},
	} {
		var whole, torn reader
		if got := whole.feed(c.in, now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		var last time.Duration
		for _, b := range c.in {
			last = max(last, torn.feed([]byte{b}, now))
		}
		if last != c.want {
			t.Errorf("%s, byte by byte: %v, want %v", name, last, c.want)
		}
	}
	r := reader{wall: true}
	if got := r.feed(event(5*s, evKey, 30, 1), 70*s); got != 70*s {
		t.Errorf("a device on the wall clock: %v", got)
	}
	r = reader{least: 200}
	if got := r.feed(join(abs(5*s, 0, 0), abs(6*s, 199, 0)), now); got != 0 {
		t.Errorf("a small move on a wide surface: %v", got)
	}
}

const evMsc = 4

func TestStillTakesNoNumbers(t *testing.T) {
	var s still.Pointer
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		s.Move(v, v, still.Nudge, 1)
	}
	if s.Move(math.NaN(), 0, still.Nudge, 1) {
		t.Error("not a number is a move")
	}
	if !s.Move(20, 20, still.Nudge, still.Settle+2) {
		t.Error("the pointer never recovers")
	}
}

func TestInputNeverMovesBackOrAhead(t *testing.T) {
	var in Input
	in.add(sighting{believed: 50}, 100)
	in.add(sighting{believed: 40, injected: 60}, 100)
	in.add(sighting{believed: 900, injected: 900}, 101)
	in.add(sighting{}, 500)
	if in.At != 101 || in.Injected != 101 || in.InjectedCount != 2 {
		t.Errorf("%+v", in)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(event(5*time.Second, evKey, 30, 1), int64(time.Hour))
	f.Add(join(event(5, evRel, 0, math.MaxInt32), event(5, evRel, 0, math.MaxInt32), event(5, evSyn, 0, 0)), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		var r reader
		at := r.feed(b, time.Duration(now))
		if at < 0 || at > max(time.Duration(now), 1) {
			t.Errorf("%v, now %v", at, time.Duration(now))
		}
	})
}

func FuzzBitmap(f *testing.F) {
	f.Add("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe")
	f.Fuzz(func(t *testing.T, s string) {
		m := parseBitmap(s)
		capability{m, m, m, m}.touchedByPeople()
	})
}

func BenchmarkReader(b *testing.B) {
	at := 5 * time.Second
	in := join(event(at, evRel, relX, 3), event(at, evRel, relY, 1), event(at, evSyn, 0, 0))
	var r reader
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r.feed(in, at)
	}
}
