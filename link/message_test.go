package link

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"stepaway/audit"
)

// everyMessage has one of each kind.
var everyMessage = []Message{
	{Hello: &Hello{Role: RoleTray, Session: "c2", Version: "1"}},
	{Beat: &Beat{}},
	{LockNow: &LockNow{}},
	{Ask: &Ask{}},
	{Stored: &Stored{Run: "0a", N: 7}},
	{Courier: &Courier{Epoch: "e", Head: 1, Acked: 1, Bytes: 2, Collector: "up", Code: "x"}},
	{State: &State{Session: "c2", Phase: Warned, WarnMS: 1, DeadlineMS: 2, Action: "lock"}},
	{Events: &Events{Run: "0a", Batch: []audit.Event{{V: 1, Type: audit.LockProved, N: 1, Facts: &audit.Facts{IdleMS: audit.MS(time.Second)}}}}},
	{Status: &Status{Version: "1", Sessions: []SessionStatus{{ID: "c2", IdleMS: -1}}, Courier: &Courier{}}},
	{Refused: &Refused{Code: "busy"}},
}

func frameOf(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func written(t testing.TB, m Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEveryMessageReadsBack(t *testing.T) {
	var all bytes.Buffer
	kinds := map[int]bool{}
	for _, m := range everyMessage {
		all.Write(written(t, m))
		for i := range reflect.TypeFor[Message]().NumField() {
			if !reflect.ValueOf(m).Field(i).IsNil() {
				kinds[i] = true
			}
		}
	}
	if n := reflect.TypeFor[Message]().NumField(); len(kinds) != n {
		t.Errorf("%d kinds of message tested, there are %d", len(kinds), n)
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(all.Bytes()), "byte by byte": iotest.OneByteReader(bytes.NewReader(all.Bytes()))} {
		for i, want := range everyMessage {
			got, err := Read(r)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: message %d is %+v, %v", name, i, got, err)
			}
		}
		if _, err := Read(r); err != io.EOF {
			t.Errorf("%s: after the last: %v, want io.EOF", name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	length := func(n uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, n), body...)
	}
	for name, frame := range map[string][]byte{
		"zero length":         length(0, `{"beat":{}}`),
		"one too long":        length(MaxFrame+1, strings.Repeat(" ", MaxFrame+1)),
		"longest length":      length(math.MaxUint32, ""),
		"negative as signed":  length(1<<31, "{}"),
		"cut":                 length(12, `{"beat":{}}`),
		"no body":             length(12, ""),
		"empty":               frameOf(" "),
		"null":                frameOf("null"),
		"no field":            frameOf("{}"),
		"null field":          frameOf(`{"beat":null}`),
		"array":               frameOf(`[{"beat":{}}]`),
		"string":              frameOf(`"beat"`),
		"garbage":             frameOf("\x00\xff\xfe\x80garbage"),
		"cut JSON":            frameOf(`{"beat":{`),
		"unknown field":       frameOf(`{"beat":{},"x":1}`),
		"unknown field alone": frameOf(`{"idle":0}`),
		"idle in a beat":      frameOf(`{"beat":{"idle_ms":0}}`),
		"idle in a hello":     frameOf(`{"hello":{"role":"tray","version":"1","idle_ms":0}}`),
		"idle in a lock":      frameOf(`{"lock_now":{"in_ms":600000}}`),
		"two bodies":          frameOf(`{"beat":{},"lock_now":{}}`),
		"all bodies":          frameOf(`{"hello":{},"beat":{},"ask":{}}`),
		"two messages":        frameOf(`{"beat":{}}{"beat":{}}`),
		"bytes after":         frameOf(`{"beat":{}}x`),
		"space after":         frameOf(`{"beat":{}} `),
		"wrong type":          frameOf(`{"beat":[]}`),
		"number too large":    frameOf(`{"stored":{"run":"a","n":18446744073709551616}}`),
		"negative number":     frameOf(`{"stored":{"run":"a","n":-1}}`),
		"float":               frameOf(`{"stored":{"run":"a","n":1.5}}`),
		"deep":                frameOf(strings.Repeat("[", MaxFrame)),
		"deep object":         frameOf(strings.Repeat(`{"beat":`, MaxFrame/8)),
		"HTTP":                []byte("GET / HTTP/1.1\r\n\r\n"),
		"X11":                 []byte("l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	} {
		m, err := Read(bytes.NewReader(frame))
		if !errors.Is(err, ErrFrame) || m.bodies() != 0 {
			t.Errorf("%s: %+v, %v, want ErrFrame", name, m, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: error of %d bytes", name, len(err.Error()))
		}
	}
	for n := 1; n < 4; n++ {
		if _, err := Read(bytes.NewReader(make([]byte, n))); err == nil || err == io.EOF {
			t.Errorf("%d bytes of a length: %v", n, err)
		}
	}
}

// TestReadTakesOneFrame: neither a long frame's body nor the next frame is read.
func TestReadTakesOneFrame(t *testing.T) {
	r := bytes.NewReader(append(frameOf(`{"beat":{}}`), "next"...))
	if _, err := Read(r); err != nil || r.Len() != 4 {
		t.Errorf("%v, %d bytes left, want 4", err, r.Len())
	}
	r = bytes.NewReader(append([]byte{0, 1, 0, 1}, make([]byte, 1<<20)...))
	if _, err := Read(r); !errors.Is(err, ErrFrame) || r.Len() != 1<<20 {
		t.Errorf("%v, %d bytes left", err, r.Len())
	}
}

func TestWriteRefusesTooLong(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, Message{Hello: &Hello{Version: strings.Repeat("x", MaxFrame)}}); !errors.Is(err, ErrFrame) || b.Len() != 0 {
		t.Errorf("%v, %d bytes written", err, b.Len())
	}
	overhead := len(written(t, Message{Hello: &Hello{}})) - 4
	if err := Write(&b, Message{Hello: &Hello{Version: strings.Repeat("x", MaxFrame-overhead)}}); err != nil {
		t.Error(err)
	}
	if m, err := Read(&b); err != nil || m.Hello == nil {
		t.Errorf("the longest frame: %v", err)
	}
}

// TestTrayHasNothingToDelayWith holds every field of every message that is taken from a tray. None is an idle time,
// an instant, a duration or a phase. Who adds one here answers for it: a tray is never believed.
func TestTrayHasNothingToDelayWith(t *testing.T) {
	for typ, want := range map[reflect.Type][]string{
		reflect.TypeFor[Hello]():   {"Role link.Role", "Session string", "Version string"},
		reflect.TypeFor[Beat]():    nil,
		reflect.TypeFor[LockNow](): nil,
	} {
		var got []string
		for f := range fields(typ) {
			got = append(got, f.Name+" "+f.Type.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the fields %q, want %q", typ, got, want)
		}
	}
	var kinds []string
	for f := range fields(reflect.TypeFor[Message]()) {
		kinds = append(kinds, f.Name)
	}
	if want := []string{"Hello", "Beat", "LockNow", "Ask", "Stored", "Courier", "State", "Events", "Status", "Refused"}; !slices.Equal(kinds, want) {
		t.Errorf("messages are %q, want %q", kinds, want)
	}
	// What a peer may say to the enforcer, the courier's two included, holds no idle time by name either.
	for _, typ := range []reflect.Type{reflect.TypeFor[Hello](), reflect.TypeFor[Ask](), reflect.TypeFor[Stored](), reflect.TypeFor[Courier]()} {
		for f := range fields(typ) {
			if n := strings.ToLower(f.Name); strings.Contains(n, "idle") || strings.Contains(n, "ms") || strings.Contains(n, "input") || f.Type == reflect.TypeFor[time.Duration]() {
				t.Errorf("%s.%s is a time that a peer tells", typ, f.Name)
			}
		}
	}
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, m := range everyMessage {
		b := written(f, m)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(slices.Clone(b), b...))
	}
	for _, s := range []string{`{"Beat":{}}`, `{"beat":{},"beat":{}}`, `{"beat":{},"BEAT":null}`, `{"hello":{"role":"\ud800"}}`, "[[[[", "\xff", `{"events":{"batch":[null]}}`} {
		f.Add(frameOf(s))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b))
		if err != nil {
			if m.bodies() != 0 {
				t.Fatalf("a message beside the error %v: %+v", err, m)
			}
			return
		}
		if m.bodies() != 1 {
			t.Fatalf("%q: %d bodies", b, m.bodies())
		}
		var again bytes.Buffer
		if err := Write(&again, m); errors.Is(err, ErrFrame) {
			return // written out with every field it grew too long
		} else if err != nil {
			t.Fatal(err)
		}
		back, err := Read(&again)
		was, _ := json.Marshal(m)
		is, _ := json.Marshal(back)
		if err != nil || !bytes.Equal(was, is) {
			t.Fatalf("%s reads back as %s, %v", was, is, err)
		}
	})
}
