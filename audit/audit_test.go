package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// anEvent gives a valid event with every part filled, different for every seed.
func anEvent(seed uint64) Event {
	r := rand.New(rand.NewPCG(seed, 1))
	types := make([]Type, 0, len(severities))
	for t := range severities {
		types = append(types, t)
	}
	t := types[r.IntN(len(types))]
	hex := func(n int) string { return fmt.Sprintf("%0*x", n, r.Uint64()>>1)[:n] }
	e := Event{
		V: Version, Type: t, Device: MakeLabel(label(r)), Site: "site", Unit: "ward 3", Epoch: hex(16),
		Seq: r.Uint64(), Boot: "e2b1-77", Run: hex(8), N: r.Uint64(), Synced: r.IntN(2) == 0,
		Wall:   time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC(),
		BootMS: r.Int64N(1 << 40), Agent: "v1.2.3+dirty", Severity: severities[t], Outcome: Success, Prev: Zero,
	}
	if r.IntN(2) == 0 {
		e.Session = &Session{ID: MakeLabel(label(r)), Kind: "x11", UID: r.Uint32(), User: MakeLabel(label(r))}
	}
	if r.IntN(2) == 0 {
		e.Facts = &Facts{IdleMS: MS(0), LateMS: MS(time.Duration(r.Int64())), Rung: "logind", Count: r.Int64()}
		e.Reason, e.Outcome = Idle, Failure
	}
	return e
}

func label(r *rand.Rand) string {
	runes := []rune("ab Z9.-_@/:+=\"<>\\\n\u202e\u00e9\x00\U0001F512")
	out := make([]rune, r.IntN(80))
	for i := range out {
		out[i] = runes[r.IntN(len(runes))]
	}
	return string(out)
}

func TestEncodeDecodeIsIdentity(t *testing.T) {
	for seed := range uint64(2000) {
		e := anEvent(seed)
		body, hash, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(body)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, body)
		}
		if !reflect.DeepEqual(e, back) {
			t.Fatalf("seed %d: decoded to %+v, want %+v", seed, back, e)
		}
		if again, h, _ := Encode(back); h != hash || !bytes.Equal(again, body) {
			t.Fatalf("seed %d: encoded again to other bytes", seed)
		}
		if MaxEncoded < len(body) {
			t.Fatalf("seed %d: %d bytes", seed, len(body))
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	body, _, _ := Encode(anEvent(7))
	good := string(body)
	change := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, b := range map[string]string{
		"empty":          "",
		"null":           "null",
		"array":          "[" + good + "]",
		"two":            good + good,
		"space after":    good + " ",
		"space inside":   change(`"v":1,`, `"v": 1,`),
		"unknown field":  change(`"v":1,`, `"v":1,"title":"x",`),
		"key twice":      change(`"v":1,`, `"v":1,"v":1,`),
		"key in capital": change(`"v":1,`, `"V":1,`),
		"null field":     change(`"v":1,`, `"v":1,"reason":null,`),
		"other version":  change(`"v":1,`, `"v":2,`),
		"unknown type":   change(`"type":"`, `"type":"x`),
		"severity":       change(`"severity":"`, `"severity":"x`),
		"outcome":        change(`"outcome":"`, `"outcome":"x`),
		"long label":     change(`"site":"site"`, `"site":"`+strings.Repeat("s", 65)+`"`),
		"control":        change(`"site":"site"`, `"site":"a\u001b[2J"`),
		"bidi":           change(`"site":"site"`, `"site":"a\u202eb"`),
		"formula":        change(`"site":"site"`, `"site":"=1+1"`),
		"formula at":     change(`"site":"site"`, `"site":"@SUM"`),
		"escaped":        change(`"site":"site"`, `"site":"\u0073ite"`),
		"upper hash":     change(`"prev":"0`, `"prev":"A`),
		"long hash":      change(`"prev":"0`, `"prev":"00`),
		"negative uint":  change(`"n":`, `"n":-`),
		"float":          change(`"v":1,`, `"v":1.0,`),
		"huge":           good + strings.Repeat(" ", MaxEncoded),
		"deep":           strings.Repeat("[", MaxEncoded),
	} {
		if _, err := Decode([]byte(b)); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: error %v, want ErrEvent", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for seed := range uint64(20) {
		body, _, _ := Encode(anEvent(seed))
		f.Add(body)
		f.Add(body[:len(body)/2])
		f.Add(bytes.Replace(body, []byte(`"v":1`), []byte(`"v":1,"V":2`), 1))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Decode(body)
		if err != nil {
			return
		}
		again, hash, err := Encode(e)
		if err != nil || !bytes.Equal(again, body) || hash != Hash(body) {
			t.Fatalf("decoded from %q, encodes to %q: %v", body, again, err)
		}
	})
}

func TestMakeLabel(t *testing.T) {
	for in, want := range map[string]Label{
		"":                            "",
		"dr.house@clinic/a:b+c":       "dr.house@clinic/a:b+c",
		"=cmd|'/c calc'!A0":           "?cmd??/c calc??A0",
		"+1":                          "?1",
		"-1":                          "?1",
		"@x":                          "?x",
		"a\nb\x00":                    "a?b?",
		"M\u00fcller":                 "M?ller",
		"\xff\xfe":                    "??",
		strings.Repeat("\u00e9", 100): Label(strings.Repeat("?", 64)),
		strings.Repeat("x", 65):       Label(strings.Repeat("x", 64)),
	} {
		got := MakeLabel(in)
		if got != want {
			t.Errorf("MakeLabel(%q) = %q, want %q", in, got, want)
		}
		if MakeLabel(string(got)) != got {
			t.Errorf("MakeLabel(%q) changes its own answer", in)
		}
	}
}

func FuzzMakeLabel(f *testing.F) {
	f.Add("a\u202eb")
	f.Add("\xf0\x28\x8c\xbc")
	f.Fuzz(func(t *testing.T, s string) {
		l := MakeLabel(s)
		if MakeLabel(string(l)) != l || len(l) > maxLabel {
			t.Fatalf("MakeLabel(%q) = %q", s, l)
		}
		for _, r := range l {
			if r != '?' && !labelRune(r) {
				t.Fatalf("MakeLabel(%q) = %q", s, l)
			}
		}
	})
}

func TestChainLinks(t *testing.T) {
	prev, events, hashes := Zero, []Event{}, []string{}
	for i := range uint64(50) {
		e := anEvent(i)
		e.Seq, e.Prev = i+1, prev
		_, hash, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		events, hashes, prev = append(events, e), append(hashes, hash), hash
	}
	for i, e := range events {
		want := Zero
		if i > 0 {
			want = hashes[i-1]
		}
		if err := Link(want, uint64(i+1), e); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
		if err := Link(want, uint64(i+2), e); !errors.Is(err, ErrChain) {
			t.Errorf("event %d taken for number %d: %v", i, i+2, err)
		}
		if err := Link(Hash([]byte("other")), uint64(i+1), e); !errors.Is(err, ErrChain) {
			t.Errorf("event %d taken after another event: %v", i, err)
		}
	}
}

func TestEveryTypeHasWords(t *testing.T) {
	if len(severities) != 57 {
		t.Errorf("%d types: a released type never goes, a new one is added here too", len(severities))
	}
	for typ, s := range severities {
		e := Event{V: Version, Type: typ, Severity: s, Outcome: Success}
		body, _, _ := Encode(e)
		if _, err := Decode(body); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		if s == Alert && !Critical(typ) {
			t.Errorf("%s is an alert and yet among the first to be dropped", typ)
		}
	}
}
