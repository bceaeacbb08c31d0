package wts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"stepaway/session"
)

const (
	second = 10_000_000 // of the wall clock
	wall   = 133_000_000_000_000_000
	up     = 10 * time.Hour
)

func ago(d time.Duration) int64 { return wall - int64(d)/100 }

// person is a row of somebody who is before the console.
func person() row {
	return row{id: 2, state: active, user: "ada", userRead: true, domain: "CLINIC", sid: "S-1-5-21-1", station: "Console", protocol: console,
		times: times{logon: ago(time.Hour), now: wall}, groups: []string{"S-1-5-32-545"}}
}

func with(r row, change func(*row)) row {
	change(&r)
	return r
}

func TestSession(t *testing.T) {
	at := func(r row, want session.Session) {
		t.Helper()
		got := (&facts{}).sessions([]row{r}, up)
		want.UID = session.NoUID
		if len(got) != 1 || fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
	base := session.Session{ID: "2", SID: "S-1-5-21-1", User: "ada", Groups: []string{"S-1-5-32-545"}, Kind: session.Console, Active: true, Since: up - time.Hour}
	as := func(change func(*session.Session)) session.Session { s := base; change(&s); return s }

	at(person(), base)
	at(with(person(), func(r *row) { r.station, r.protocol = "RDP-Tcp#7", rdp }), as(func(s *session.Session) { s.Kind, s.Remote = session.RDP, true }))
	at(with(person(), func(r *row) { r.station, r.protocol = "ICA-tcp#7", ica }), as(func(s *session.Session) { s.Kind, s.Remote = session.RDP, true }))
	at(with(person(), func(r *row) { r.station, r.protocol = "rdp-tcp#7", unknownProtocol }), as(func(s *session.Session) { s.Kind, s.Remote = session.RDP, true }))
	at(with(person(), func(r *row) { r.station, r.protocol = "", unknownProtocol }), base) // nothing known: believed least
	at(with(person(), func(r *row) { r.state = shadow }), base)
	at(with(person(), func(r *row) { r.state, r.station, r.times.disconnect = disconnected, "", ago(time.Minute) }),
		as(func(s *session.Session) { s.Active, s.Left = false, up-time.Minute }))
	at(with(person(), func(r *row) { r.user, r.userRead = "", false }), as(func(s *session.Session) { s.User = "" }))
	at(with(person(), func(r *row) { r.times = times{} }), as(func(s *session.Session) { s.Since = 0 }))
	at(with(person(), func(r *row) { r.sid, r.groups = "", nil }), as(func(s *session.Session) { s.SID, s.Groups = "", nil }))
	at(row{id: 9, state: connectQuery}, session.Session{ID: "9", Kind: session.Console})
}

func TestNobody(t *testing.T) {
	var rows []row
	for _, change := range []func(*row){
		func(r *row) { r.id = 0 },
		func(r *row) { r.user = "" }, // the sign-in screen
		func(r *row) { r.state = connected; r.user = "" },
		func(r *row) { r.state = idling },
		func(r *row) { r.state = listening; r.id = 65536 },
		func(r *row) { r.state = down },
		func(r *row) { r.state = resetting },
		func(r *row) { r.state = initializing },
	} {
		rows = append(rows, with(person(), change))
	}
	if got := (&facts{}).sessions(rows, up); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestLeft: since when nobody can sit before a session, as it is looked at again and again, each time with another wall clock.
func TestLeft(t *testing.T) {
	type look struct {
		at         time.Duration
		state      state
		disconnect int64
		now        int64
		want       time.Duration
	}
	gone, h := ago(time.Minute), time.Hour
	for name, looks := range map[string][]look{
		"a minute ago":              {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, disconnected, gone, wall + 3600*second, 10*h - time.Minute}},
		"the clock is set forward":  {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, disconnected, gone, wall + 1e15, 10*h - time.Minute}},
		"the clock is set back":     {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, disconnected, gone, gone - 1e15, 10*h - time.Minute}},
		"in the future at first":    {{10 * h, disconnected, wall + 1, wall, 10 * h}, {11 * h, disconnected, wall + 1, wall + 2, 10 * h}},
		"before the boot":           {{10 * h, disconnected, ago(20 * h), wall, 1}},
		"in 1601":                   {{10 * h, disconnected, 1, wall, 1}},
		"times unknown":             {{10 * h, disconnected, 0, 0, 10 * h}, {11 * h, disconnected, 0, 0, 10 * h}},
		"known later":               {{10 * h, disconnected, 0, 0, 10 * h}, {10*h + time.Minute, disconnected, ago(2 * time.Minute), wall, 10*h - time.Minute}},
		"known later, but no later": {{10 * h, disconnected, 0, 0, 10 * h}, {11 * h, disconnected, wall, wall, 10 * h}},
		"unknown again":             {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, disconnected, 0, 0, 10*h - time.Minute}},
		"back, and gone again":      {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, active, gone, wall, 0}, {12 * h, disconnected, wall, wall + second, 12*h - time.Second}},
		"back and gone unseen":      {{10 * h, disconnected, gone, wall, 10*h - time.Minute}, {11 * h, disconnected, wall + second, wall + 2*second, 11*h - time.Second}},
		"never":                     {{10 * h, active, gone, wall, 0}},
		"nonsense":                  {{10 * h, disconnected, -5, wall, 10 * h}, {10 * h, disconnected, -5, -9, 10 * h}},
	} {
		f := &facts{}
		for i, l := range looks {
			r := with(person(), func(r *row) { r.state, r.times.disconnect, r.times.now = l.state, l.disconnect, l.now })
			if got := f.sessions([]row{r}, l.at)[0].Left; got != l.want {
				t.Errorf("%s: look %d: left at %v, want %v", name, i, got, l.want)
			}
		}
	}
}

// TestWhatStaysKnown: how a session reached its user, while it does not; and nothing of another with the same number.
func TestWhatStaysKnown(t *testing.T) {
	f := &facts{}
	far := with(person(), func(r *row) { r.station, r.protocol = "RDP-Tcp#1", rdp })
	f.sessions([]row{far}, up)
	left := with(person(), func(r *row) { r.state, r.station, r.sid, r.groups, r.times = disconnected, "", "", nil, times{} })
	s := f.sessions([]row{left}, up+time.Hour)[0]
	if s.Kind != session.RDP || s.SID != "S-1-5-21-1" || s.Since != up-time.Hour || len(s.Groups) != 1 {
		t.Errorf("%+v", s)
	}
	home := f.sessions([]row{person()}, up+2*time.Hour)[0] // taken back at the console
	if home.Kind != session.Console || home.Remote || home.Since != up-time.Hour {
		t.Errorf("%+v", home)
	}
	for what, change := range map[string]func(*row){
		"account": func(r *row) { r.sid = "S-1-5-21-2" }, "name": func(r *row) { r.user = "bob" }, "logon": func(r *row) { r.times.logon = ago(time.Minute) },
	} {
		f.sessions([]row{far}, up)
		next := with(left, func(r *row) { change(r); r.times.now = wall })
		if s := f.sessions([]row{next}, up)[0]; s.Kind == session.RDP || len(s.Groups) != 0 {
			t.Errorf("another %s: %+v", what, s)
		}
	}
	f.sessions(nil, up)
	if len(f.seen) != 0 {
		t.Error("sessions that are gone are remembered")
	}
}

// TestInfo holds the reading against WTSINFOW as it is declared: eight numbers of 32 bits, names of 32, 17 and 21 characters, then
// five times.
func TestInfo(t *testing.T) {
	b := make([]byte, 0, 256)
	for i := range 8 {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	b = append(b, make([]byte, 2*(32+17+21))...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	for _, at := range []int64{1, 2, 3, 4, 5} { // ConnectTime, DisconnectTime, LastInputTime, LogonTime, CurrentTime
		b = binary.LittleEndian.AppendUint64(b, uint64(at))
	}
	got, err := parseTimes(b)
	if err != nil || got != (times{logon: 4, disconnect: 2, now: 5}) || len(b) != infoSize {
		t.Errorf("%+v %v of %d bytes", got, err, len(b))
	}
	for n := range len(b) {
		if _, err := parseTimes(b[:n]); !errors.Is(err, errShort) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
}

func TestText(t *testing.T) {
	text := func(s string) []byte {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	for want, in := range map[string][]byte{"": {0, 0}, "ada": text("ada\x00behind"), "öß": text("öß"), "no end": text("no end"), "ab": text("a\r\n\tb")} {
		if got, err := parseText(in); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	if got, err := parseText([]byte{0, 0xd8, 'x', 0}); err != nil || got != "x" {
		t.Errorf("half a character: %q, %v", got, err)
	}
	if got, _ := parseText(text(strings.Repeat("long", 1000))); len(got) != 256 {
		t.Errorf("%d bytes of a name", len(got))
	}
	for _, in := range [][]byte{nil, {1}} {
		if _, err := parseText(in); !errors.Is(err, errShort) {
			t.Errorf("%v: %v", in, err)
		}
	}
}

func TestProtocol(t *testing.T) {
	for want, in := range map[protocol][]byte{console: {0, 0}, ica: {1, 0}, rdp: {2, 0, 9}, unknownProtocol: {3, 0}} {
		if got, err := parseProtocol(in); err != nil || got != want {
			t.Errorf("%v: %d, %v", in, got, err)
		}
	}
	if _, err := parseProtocol([]byte{2}); !errors.Is(err, errShort) {
		t.Error(err)
	}
}

func TestPrepares(t *testing.T) {
	for event, want := range map[uint32][2]bool{0x4: {true, true}, 0x12: {false, true}, 0x7: {false, false}, 0xA: {false, false}, 0x8013: {false, false}} {
		if going, known := prepares(event); going != want[0] || known != want[1] {
			t.Errorf("%#x: %v %v", event, going, known)
		}
	}
}

// TestNames: by number at once, by name when it is known, and in full where the domain is not one's own.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked, away := map[string]int{}, true
		all := map[string]group{"S-1-5-32-545": {"BUILTIN", "Users", false}, "S-1-5-4": {"NT AUTHORITY", "INTERACTIVE", true},
			"S-1-5-21-1-7": {"CLINIC", "clinicians", false}, "S-1-5-21-2-7": {"PARTNER", "clinicians", false}, "S-1-5-21-3-9": {"PC7", "local", false}}
		var told atomic.Int32
		n := newNames(func(sid string) (group, error) {
			mu.Lock()
			defer mu.Unlock()
			if asked[sid]++; sid == "S-1-5-21-1-7" && away {
				time.Sleep(10 * time.Second) // nobody else wants it
				return group{}, errors.New("no server")
			}
			return all[sid], nil
		}, func() { told.Add(1) })
		sids := []string{"S-1-5-32-545", "S-1-5-21-1-7", "S-1-5-4", "S-1-5-21-2-7", "S-1-5-21-3-9"}
		began := time.Now()
		got := n.of(sids, "clinic", "PC7")
		if took := time.Since(began); took > namesSoon {
			t.Errorf("waited %v", took)
		}
		if !slices.Equal(got, []string{"S-1-5-32-545", `BUILTIN\Users`, "Users", "S-1-5-21-1-7", "S-1-5-4", "S-1-5-21-2-7", "S-1-5-21-3-9"}) {
			t.Errorf("at first: %q", got)
		}
		time.Sleep(20 * time.Second)
		if told.Load() != 1 {
			t.Errorf("told %d times", told.Load())
		}
		n.of(sids)
		mu.Lock()
		if away = false; asked["S-1-5-21-1-7"] != 1 {
			t.Error("asked again in a hurry")
		}
		mu.Unlock()
		time.Sleep(namesAgain)
		got = n.of(sids, "clinic", "PC7")
		want := []string{"S-1-5-32-545", `BUILTIN\Users`, "Users", "S-1-5-21-1-7", `CLINIC\clinicians`, "clinicians", "S-1-5-4",
			"S-1-5-21-2-7", `PARTNER\clinicians`, "S-1-5-21-3-9", `PC7\local`, "local"}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		mu.Lock()
		if asked["S-1-5-32-545"] != 1 {
			t.Error("what is known is asked for again")
		}
		mu.Unlock()
		many := make([]string, 5*maxGroups)
		for i := range many {
			many[i] = fmt.Sprintf("S-1-5-21-9-%d", i)
		}
		if got := n.of(many); len(got) > 2*maxGroups {
			t.Errorf("%d groups", len(got))
		}
		time.Sleep(time.Hour)
	})
}
