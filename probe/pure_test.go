package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"stepaway/session"
	"stepaway/still"
)

const day = 24 * time.Hour

// TestTicks: each look is at a boot time and says how long ago the last input was, as a count of 32 bits says it.
func TestTicks(t *testing.T) {
	type look struct {
		now  time.Duration
		last uint32
		want time.Duration
	}
	count := func(at time.Duration) uint32 { return uint32(at.Milliseconds()) }
	h := time.Hour
	for name, looks := range map[string][]look{
		"input an hour ago":              {{10 * h, count(9 * h), 9 * h}, {11 * h, count(9 * h), 9 * h}},
		"none since the start":           {{10 * h, 0, 0}, {11 * h, 0, 0}},
		"input between looks":            {{10 * h, count(9 * h), 9 * h}, {10*h + time.Second, count(10*h + 400*time.Millisecond), 10*h + 400*time.Millisecond}},
		"the count comes round":          {{49*day + 17*h, count(49*day + 16*h), 0}, {49*day + 18*h, count(49*day + 17*h + time.Minute), 49*day + 17*h + time.Minute}},
		"ahead at first":                 {{10 * h, count(10*h + time.Minute), 0}, {10*h + 2*time.Minute, count(10*h + time.Minute), 0}},
		"ahead later: after the look":    {{10 * h, count(9 * h), 9 * h}, {10*h + time.Second, count(20 * h), 10 * h}},
		"backwards: after the look":      {{10 * h, count(9 * h), 9 * h}, {10*h + time.Second, count(8 * h), 10 * h}},
		"a program says long ago":        {{10 * h, count(9 * h), 9 * h}, {10*h + time.Second, count(10*h - 40*day), 10 * h}},
		"half round ago at first":        {{30 * day, count(1 * day), 0}, {30*day + h, count(1 * day), 0}},
		"half round ago, then input":     {{30 * day, count(1 * day), 0}, {30*day + h, count(30*day + time.Minute), 30*day + time.Minute}},
		"nobody for more than a round":   {{10 * h, count(9 * h), 9 * h}, {10*h + 50*day, count(9 * h), 9 * h}},
		"never back":                     {{10 * h, count(9 * h), 9 * h}, {10*h + time.Second, count(10*h + 900*time.Millisecond), 10*h + 900*time.Millisecond}, {10*h + time.Second, count(9 * h), 10*h + time.Second}},
		"a millisecond before the round": {{round - time.Millisecond, math.MaxUint32 - 5, 0}, {round + time.Second, 1, round + time.Millisecond}},
	} {
		var tk ticks
		for i, l := range looks {
			if got := tk.look(l.now, l.now, count(l.now), l.last); got != l.want {
				t.Errorf("%s: look %d at %v says %v, want %v", name, i, l.now, got, l.want)
			}
		}
	}
}

// TestTicksNeverTellTheFuture nor go back, whatever they are told.
func TestTicksNeverTellTheFuture(t *testing.T) {
	var tk ticks
	now, was, rnd := time.Duration(0), time.Duration(0), uint32(1)
	for range 100_000 {
		rnd = rnd*1664525 + 1013904223
		now += time.Duration(rnd>>8) * time.Microsecond
		last := rnd
		if rnd%3 == 0 {
			last = uint32(now.Milliseconds()) - rnd>>12
		}
		at := tk.look(now, now, uint32(now.Milliseconds()), last)
		if at > now || at < was {
			t.Fatalf("at %v: last input at %v, was %v", now, at, was)
		}
		was = at
	}
}

func TestStamp(t *testing.T) {
	const now, emptied = 100 * time.Hour, 100*time.Hour - 10*time.Second
	count := uint32(now.Milliseconds())
	for name, c := range map[string]struct {
		posted uint32
		want   time.Duration
	}{
		"now":                {count, now},
		"a second ago":       {count - 1000, now - time.Second},
		"before the look":    {count - 20_000, emptied},
		"ahead":              {count + 1000, emptied},
		"far ahead":          {count + 1<<31 - 1, emptied},
		"as far ago as ever": {count + 1<<31, emptied},
	} {
		if got := stamp(now, emptied, count, c.posted); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	const wrapped = round + 5*time.Millisecond
	if got := stamp(wrapped, wrapped-time.Second, 5, math.MaxUint32-4); got != wrapped-10*time.Millisecond {
		t.Errorf("over the round: %v", got)
	}
}

const s = time.Second

// play takes events in, one a second from second 1 on where they say no time, and tells which were believed.
func play(j *judge, events ...event) string {
	var b strings.Builder
	for i, e := range events {
		if e.at == 0 {
			e.at = time.Duration(i+1) * s
		}
		if j.take(e) {
			b.WriteByte('+')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

func TestJudge(t *testing.T) {
	const dev, other = 7, 9
	down, up := event{kind: key, device: dev}, event{kind: key, device: dev, up: true}
	move := func(d uint64, x, y int32) event { return event{kind: mouse, device: d, x: x, y: y} }
	touch := func(at time.Duration) event { return event{kind: contact, device: dev, at: at} }
	nameless := func(e event) event { e.device = 0; return e }
	at := func(e event, at time.Duration) event { e.at = at; return e }
	place := func(x, y int32) event { return event{kind: mouse, device: dev, absolute: true, x: x, y: y} }
	for name, c := range map[string]struct {
		remote bool
		events []event
		want   string
		count  uint64
	}{
		"a key":                               {false, []event{down, up}, "++", 0},
		"a weight on a key":                   {false, []event{down, down, down, down}, "+---", 0},
		"a key typed beside the weight":       {false, []event{down, down, down, up, down}, "+--++", 0},
		"two keyboards":                       {false, []event{down, {kind: key, device: other}, down}, "++-", 0},
		"a mouse":                             {false, []event{move(dev, 30, 0)}, "+", 0},
		"a bump":                              {false, []event{move(dev, 3, 0), move(dev, -3, 0), move(dev, 3, 2)}, "---", 0},
		"a slow way":                          {false, []event{move(dev, 4, 0), move(dev, 4, 0), move(dev, 4, 0)}, "--+", 0},
		"two mice bumped":                     {false, []event{move(dev, 6, 0), move(other, 6, 0)}, "--", 0},
		"a button that does not move":         {false, []event{{kind: mouse, device: dev, pressed: true}}, "+", 0},
		"a mouse that says nothing":           {false, []event{{kind: mouse, device: dev}}, "-", 0},
		"a place is no way":                   {false, []event{place(30000, 30000), place(30010, 30000)}, "--", 0},
		"a place far off":                     {false, []event{place(30000, 30000), place(31000, 30000)}, "-+", 0},
		"a place of the far corners":          {false, []event{place(math.MinInt32, 0), place(math.MaxInt32, 0)}, "-+", 0},
		"made by a program":                   {false, []event{nameless(down), nameless(up), nameless(move(0, 50, 0))}, "---", 3},
		"made by a program, many in a second": {false, []event{at(nameless(down), s), at(nameless(up), s+1), at(nameless(down), s+2)}, "---", 1},
		"a program's tremble is none":         {false, []event{move(0, 1, 0), move(0, -1, 0)}, "--", 0},
		"a finger":                            {false, []event{touch(s), touch(s + 100*time.Millisecond), touch(s + 200*time.Millisecond), touch(3 * s)}, "+--+", 0},
		"a touchpad's mouse":                  {false, []event{touch(s), at(move(0, 50, 0), s+50*time.Millisecond), at(event{kind: mouse, pressed: true}, s+time.Second)}, "+++", 0},
		"long after the touchpad":             {false, []event{touch(s), at(move(0, 50, 0), 3*s)}, "+-", 1},
		"keys are no touchpad's":              {false, []event{touch(s), at(nameless(down), s+50*time.Millisecond)}, "+-", 1},
		"a touch made by a program":           {false, []event{nameless(touch(s)), at(move(0, 50, 0), s+50*time.Millisecond)}, "--", 1},
		"remote, nothing has a name":          {true, []event{nameless(down), nameless(up), move(0, 50, 0)}, "+++", 0},
		"remote, until something has":         {true, []event{nameless(down), down, nameless(up), move(0, 50, 0)}, "++--", 2},
	} {
		j := &judge{}
		j.shown(c.remote)
		if got := play(j, c.events...); got != c.want || j.count != c.count {
			t.Errorf("%s: %s and %d not believed, want %s and %d", name, got, j.count, c.want, c.count)
		}
	}
}

// TestSomethingLiesOnTheTouchpad: it reports for ever, and the mouse without a device beside it is soon a program's.
func TestSomethingLiesOnTheTouchpad(t *testing.T) {
	j := &judge{}
	for at := s; at < 10*time.Minute; at += 100 * time.Millisecond {
		j.take(event{kind: contact, device: 7, at: at})
		j.take(event{kind: mouse, at: at, x: 20})
	}
	if j.at > s+longTouch {
		t.Errorf("believed at %v", j.at)
	}
}

// TestAnotherScreen: a desktop that is taken over by another screen has other devices.
func TestAnotherScreen(t *testing.T) {
	j := &judge{}
	typed := event{kind: key, at: s}
	j.take(event{kind: key, device: 7, at: s})
	j.shown(true)
	if !j.take(typed) {
		t.Error("nobody can work from afar")
	}
	j.shown(false)
	if typed.up = true; j.take(typed) || j.lenient() {
		t.Error("back at the desk, a program is believed")
	}
}

// TestGap: raw input is blind only where a person goes on working and it shows nothing.
func TestGap(t *testing.T) {
	const beat = 10 * s
	for name, c := range map[string]struct {
		look  func(g *gap, n int) bool
		blind bool
	}{
		"blind":                      {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, s, false) }, true},
		"blind from the start":       {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, 0, false) }, true},
		"nobody there":               {func(g *gap, n int) bool { return g.look(2*s, s, false) }, false},
		"it sees":                    {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, time.Duration(n)*beat-s, false) }, false},
		"it sees a part":             {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, time.Duration(n/5)*beat, false) }, false},
		"a password, then nobody":    {func(g *gap, n int) bool { return g.look(time.Duration(min(n, 5))*beat, s, false) }, false},
		"another desktop":            {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, s, true) }, false},
		"another desktop, and back":  {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, s, n < 20) }, true},
		"another desktop now, again": {func(g *gap, n int) bool { return g.look(time.Duration(n)*beat, s, n%10 == 9) }, false},
	} {
		g, blind := &gap{}, false
		for n := range 40 {
			blind = c.look(g, n)
		}
		if blind != c.blind {
			t.Errorf("%s: blind %v", name, blind)
		}
	}
}

func TestManyDevices(t *testing.T) {
	j := &judge{}
	for i := range uint64(10 * maxDevices) {
		j.take(event{kind: key, device: i + 1, at: time.Duration(i+1) * s})
	}
	if n := len(j.devices); n > maxDevices+1 {
		t.Errorf("%d devices remembered", n)
	}
	few := &judge{}
	play(few, event{kind: key}, event{kind: key, device: 7}, event{kind: mouse, device: 9})
	if n := few.hardware(); n != 2 {
		t.Errorf("%d devices named, want 2", n)
	}
}

// TestParse holds the reading against the layout that is documented, with a key code that must not matter.
func TestParse(t *testing.T) {
	raw := func(typ uint32, device uint64, body ...byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, typ)
		b = binary.LittleEndian.AppendUint32(b, uint32(24+len(body)))
		b = binary.LittleEndian.AppendUint64(b, device)
		return append(append(b, make([]byte, 8)...), body...)
	}
	for name, c := range map[string]struct {
		raw  []byte
		want event
		ok   bool
	}{
		"nothing":       {nil, event{}, false},
		"a header":      {raw(rimMouse, 1), event{}, false},
		"a short mouse": {raw(rimMouse, 1, make([]byte, 23)...), event{}, false},
		"a mouse": {raw(rimMouse, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x64, 0, 0, 0, 0x9c, 0xff, 0xff, 0xff, 0, 0, 0, 0),
			event{kind: mouse, device: 1, x: 100, y: -100}, true},
		"a button": {raw(rimMouse, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), event{kind: mouse, device: 1, pressed: true}, true},
		"a place":  {raw(rimMouse, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0), event{kind: mouse, device: 1, absolute: true, x: 1, y: 2}, true},
		"a key":    {raw(rimKeyboard, 2, 0x1e, 0, 0, 0, 0, 0, 0x41, 0, 0, 1, 0, 0, 0, 0, 0, 0), event{kind: key, device: 2}, true},
		"its end":  {raw(rimKeyboard, 0, 0x1e, 0, 1, 0, 0, 0, 0x41, 0, 1, 1, 0, 0, 0, 0, 0, 0), event{kind: key, up: true}, true},
		"a touch":  {raw(rimHID, 3, 1, 2, 3), event{kind: contact, device: 3}, true},
		"unknown":  {raw(9, 3, make([]byte, 64)...), event{}, false},
	} {
		if got, ok := parse(c.raw); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, ok, c.want, c.ok)
		}
	}
}

// frame puts a text in a frame.
func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// TestHostileFrames: none of them is taken, on either side, and none takes more memory than a frame.
func TestHostileFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"no bytes":             {},
		"half a length":        {0, 0},
		"length 0":             {0, 0, 0, 0},
		"too long":             binary.BigEndian.AppendUint32(nil, maxFrame+1),
		"as long as can be":    {0xff, 0xff, 0xff, 0xff},
		"cut short":            frame(`{"said":{}}`)[:8],
		"no JSON":              frame(`hello`),
		"nothing":              frame(`{}`),
		"null":                 frame(`null`),
		"a list":               frame(`[]`),
		"two bodies":           frame(`{"said":{},"answer":{"id":1}}`),
		"an unknown field":     frame(`{"said":{"idle":0}}`),
		"more behind":          frame(`{"said":{}}{}`),
		"before the boot":      frame(`{"said":{"at":-1}}`),
		"a number too large":   frame(`{"said":{"at":1e30}}`),
		"no number of devices": frame(`{"said":{"devices":-1}}`),
		"an answer to nothing": frame(`{"answer":{"ok":true}}`),
		"less than no windows": frame(`{"answer":{"id":1,"n":-1}}`),
		"wants nothing":        frame(`{"id":1}`),
		"wants two things":     frame(`{"id":1,"lock":true,"clipboard":true}`),
		"a beat backwards":     frame(`{"beat":-1}`),
		"too many processes":   frame(`{"id":1,"close":[` + strings.TrimSuffix(strings.Repeat("1,", maxPIDs+1), ",") + `]}`),
		"no process":           frame(`{"id":1,"close":[-1]}`),
		"deep":                 frame(strings.Repeat("[", maxFrame)),
	} {
		if h, err := readHeard(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: taken from a probe: %+v", name, h)
		}
		if a, err := readAsked(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: taken from a service: %+v", name, a)
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, s := range []string{`{"said":{"raw":true,"at":5}}`, `{"answer":{"id":1,"ok":true,"n":2}}`, `{"beat":1}`, `{"id":1,"close":[1]}`} {
		f.Add(frame(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeard(bytes.NewReader(b))
		if err == nil && h.Said != nil && (h.Said.At < 0 || h.Said.Injected < 0) {
			t.Errorf("taken: %+v", *h.Said)
		}
		if a, err := readAsked(bytes.NewReader(b)); err == nil && len(a.Close) > maxPIDs {
			t.Errorf("taken: %+v", a)
		}
	})
}

func TestFramesComeBack(t *testing.T) {
	var b bytes.Buffer
	want := said{Raw: true, Remote: true, Devices: 3, At: 5 * time.Hour, Injected: time.Hour, Count: 8}
	if err := writeFrame(&b, heard{Said: &want}); err != nil {
		t.Fatal(err)
	}
	got, err := readHeard(&b)
	if err != nil || *got.Said != want {
		t.Errorf("%+v, %v", got.Said, err)
	}
	if _, err := readHeard(&b); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	all := make([]uint32, maxPIDs)
	for i := range all {
		all[i] = math.MaxUint32
	}
	if err := writeFrame(&b, asked{ID: math.MaxUint64, Close: all}); err != nil {
		t.Error(err)
	}
}

func TestWhy(t *testing.T) {
	at := session.Session{ID: "3", Kind: session.Console}
	for want, got := range map[string]string{
		"idle: [kind=console session=3 ret=none] silent":                         why(at, nil, "silent"),
		"idle: [kind=console session=3 remote=no raw=yes devices=2 ret=probe]":   why(at, &said{Raw: true, Devices: 2}, ""),
		"idle: [kind=console session=3 remote=yes raw=no devices=0 ret=probe] x": why(at, &said{Remote: true}, "x"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, c := range []said{{Blind: true, Raw: true}, {}, {Raw: true, Lenient: true}} {
		if r := reason(c, false); r == "" || strings.Contains(r, "\n") {
			t.Errorf("%+v: %q", c, r)
		}
	}
	if reason(said{Raw: true}, true) != "" || still.Nudge != 10 {
		t.Error("a reason for what is usual")
	}
}
