package lock

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/windows"

	"stepaway/policy"
	"stepaway/session"
)

// station answers for Windows as Microsoft documents it; Wine has no WTSSessionInfoEx, does nothing for
// WTSDisconnectSession and has no WTSLogoffSession.
//
//   - WTSQuerySessionInformation with WTSSessionInfoEx gives a WTSINFOEX, whose Level "can be the following value": 1
//     (ns-wtsapi32-wtsinfoexw).
//   - SessionState is a WTS_CONNECTSTATE_CLASS: WTSActive 0, WTSConnected 1, WTSDisconnected 4 (ne-wtsapi32-wts_connectstate_class).
//   - SessionFlags: WTS_SESSIONSTATE_UNKNOWN 4294967295, WTS_SESSIONSTATE_LOCK 0, WTS_SESSIONSTATE_UNLOCK 1
//     (ns-wtsapi32-wtsinfoex_level1_w).
//   - WTSDisconnectSession disconnects the user "without closing the session"; with bWait FALSE it returns immediately
//     (nf-wtsapi32-wtsdisconnectsession). WTSLogoffSession likewise; "WTSQuerySessionInformation returns zero if the session is
//     logged off" (nf-wtsapi32-wtslogoffsession).
//   - LockWorkStation: "Because the function executes asynchronously, a nonzero return value indicates that the operation has
//     been initiated. It does not indicate whether the workstation has been successfully locked." (nf-winuser-lockworkstation)
type station struct {
	mu     sync.Mutex
	after  time.Duration    // that an order takes to have been done
	obeys  map[string]bool  // orders that are done: lock, disconnect, logoff
	denies map[string]error // those that fail
	hangs  bool
	info   wtsInfoEx
	gone   bool
	orders []string
}

func newStation(obeys ...string) *station {
	s := &station{after: 100 * time.Millisecond, obeys: map[string]bool{}, denies: map[string]error{}}
	s.info = wtsInfoEx{Level: 1, SessionID: 3, SessionFlags: sessionUnlocked, LogonTime: 133_000_000_000_000_000}
	copy(s.info.UserName[:], windows.StringToUTF16("clinician"))
	for _, o := range obeys {
		s.obeys[o] = true
	}
	return s
}

func (s *station) order(what string, effect func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, what)
	if err := s.denies[what]; err != nil {
		return err
	}
	if s.obeys[what] {
		time.AfterFunc(s.after, func() { s.set(effect) })
	}
	return nil
}

func (s *station) set(effect func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	effect()
}

func (s *station) Lock(context.Context, string) error {
	return s.order("lock", func() { s.info.SessionFlags = sessionLocked })
}

func (s *station) Disconnect(uint32) error {
	return s.order("disconnect", func() { s.info.SessionState = windows.WTSDisconnected })
}

func (s *station) Logoff(uint32) error { return s.order("logoff", func() { s.gone = true }) }

func (*station) CloseWindows(context.Context, string, []uint32) (int, error) { return 0, nil }
func (*station) EmptyClipboard(context.Context, string) error                { return nil }

func (s *station) Sessions() ([]uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return []uint32{0, 4}, nil
	}
	return []uint32{0, 3, 4}, nil
}

func (s *station) SessionInfo(id uint32) ([]byte, error) {
	s.mu.Lock()
	hangs := s.hangs
	defer s.mu.Unlock()
	if hangs {
		s.mu.Unlock()
		time.Sleep(time.Hour)
		s.mu.Lock()
	}
	if s.gone || id != 3 {
		return nil, windows.ERROR_FILE_NOT_FOUND
	}
	return encode(s.info), nil
}

func encode(info wtsInfoEx) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, info)
	if err != nil {
		panic(err)
	}
	return append(b, make([]byte, infoSize-len(b))...)
}

func (s *station) ladder() *Ladder {
	began := time.Now()
	return New(Options{Root: true, Desk: s, System: s, Now: func() time.Duration { return time.Since(began) }})
}

var third = session.Session{ID: "3", SID: "S-1-5-21-1-2-3-1001", UID: session.NoUID, User: "clinician", Kind: session.Console}

// TestClimb: each rung is asked only when the one before it is not proved to have locked.
func TestClimb(t *testing.T) {
	for name, c := range map[string]struct {
		obeys  string
		denies string
		want   Want
		orders string
		rungs  string
		proof  policy.Proof
	}{
		"locks":                     {"lock", "", Want{Proof: policy.ProofLocker}, "lock", "workstation:", policy.ProofLocker},
		"a claim is no less":        {"lock", "", Want{Proof: policy.ProofClaim}, "lock", "workstation:", policy.ProofLocker},
		"says so and does not":      {"disconnect logoff", "", Want{Terminate: true}, "lock disconnect", "workstation:unproved disconnect:", policy.ProofGreeter},
		"refuses to lock":           {"disconnect", "lock", Want{}, "lock disconnect", "workstation:refused disconnect:", policy.ProofGreeter},
		"greeter wanted":            {"lock disconnect", "", Want{Proof: policy.ProofGreeter}, "lock disconnect", "workstation:unproved disconnect:", policy.ProofGreeter},
		"nothing works":             {"logoff", "", Want{}, "lock disconnect", "workstation:unproved disconnect:unproved", policy.ProofNone},
		"nothing works, terminate":  {"logoff", "disconnect", Want{Terminate: true}, "lock disconnect logoff", "workstation:unproved disconnect:refused terminate:", policy.ProofEnded},
		"sign out":                  {"lock logoff", "", Want{Goal: SignOut}, "logoff", "terminate:", policy.ProofEnded},
		"sign out fails":            {"lock", "", Want{Goal: SignOut}, "logoff", "terminate:unproved", policy.ProofNone},
		"disconnect":                {"lock disconnect", "", Want{Goal: Disconnect}, "disconnect", "disconnect:", policy.ProofGreeter},
		"disconnect fails, so lock": {"lock", "", Want{Goal: Disconnect}, "disconnect lock", "disconnect:unproved workstation:", policy.ProofLocker},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStation(strings.Fields(c.obeys)...)
			if c.denies != "" {
				s.denies[c.denies] = windows.ERROR_ACCESS_DENIED
			}
			var rungs []string
			proof := s.ladder().Secure(t.Context(), third, c.want, func(st Step) { rungs = append(rungs, string(st.Rung)+":"+string(st.Code)) })
			if got := strings.Join(rungs, " "); proof != c.proof || got != c.rungs || strings.Join(s.orders, " ") != c.orders {
				t.Errorf("%s: proof %s by %s, %v ordered", name, proof, got, s.orders)
			}
		})
	}
}

func TestAlreadyLockedIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation("lock", "disconnect")
		s.info.SessionFlags = sessionLocked
		var steps []Step
		proof := s.ladder().Secure(t.Context(), third, Want{}, func(st Step) { steps = append(steps, st) })
		if proof != policy.ProofLocker || len(steps) != 1 || steps[0].Rung != Already || len(s.orders) != 0 {
			t.Errorf("%s, %v, %v", proof, steps, s.orders)
		}
	})
}

// TestHangingServiceDelaysNothing: what answers for sessions hangs; the session is told to lock all the same, at once, and
// the disconnection is ordered when the lock has not been proved in its time.
func TestHangingServiceDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation("lock")
		s.hangs = true
		l := s.ladder()
		var at []time.Duration
		done := make(chan policy.Proof)
		go func() { done <- l.Secure(t.Context(), third, Want{}, func(st Step) { at = append(at, st.At) }) }()
		time.Sleep(beforeAsking + time.Millisecond)
		synctest.Wait()
		if s.set(func() {}); !slices.Equal(s.orders, []string{"lock"}) {
			t.Errorf("after %v: %v ordered", beforeAsking, s.orders)
		}
		if proof := <-done; proof != policy.ProofNone || len(s.orders) != 2 || at[1] > 8*time.Second {
			t.Errorf("%s at %v, %v ordered", proof, at, s.orders)
		}
		time.Sleep(2 * time.Hour) // for what hangs
	})
}

func TestNobodyInTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation("disconnect")
		l := New(Options{System: s, Now: func() time.Duration { return 0 }})
		var codes []Code
		if proof := l.Secure(t.Context(), third, Want{}, func(st Step) { codes = append(codes, st.Code) }); proof != policy.ProofGreeter || codes[0] != Unavailable {
			t.Errorf("%s, %v", proof, codes)
		}
	})
}

// TestInfo: only what Windows says in the form that is documented proves anything.
func TestInfo(t *testing.T) {
	with := func(change func(*wtsInfoEx)) []byte {
		info := newStation().info
		change(&info)
		return encode(info)
	}
	for name, c := range map[string]struct {
		b    []byte
		want state
		bad  bool
	}{
		"unlocked":             {with(func(*wtsInfoEx) {}), state{open: true}, false},
		"locked":               {with(func(i *wtsInfoEx) { i.SessionFlags = sessionLocked }), state{locked: true}, false},
		"unknown":              {with(func(i *wtsInfoEx) { i.SessionFlags = 0xFFFFFFFF }), state{}, false},
		"disconnected":         {with(func(i *wtsInfoEx) { i.SessionState = windows.WTSDisconnected }), state{away: true}, false},
		"disconnected, locked": {with(func(i *wtsInfoEx) { i.SessionState, i.SessionFlags = windows.WTSDisconnected, 0 }), state{away: true, locked: true}, false},
		"connecting":           {with(func(i *wtsInfoEx) { i.SessionState = windows.WTSConnected }), state{}, false},
		"a logon screen":       {with(func(i *wtsInfoEx) { i.UserName, i.LogonTime = [21]uint16{}, 0 }), state{ended: true, open: true}, false},
		"only without a name":  {with(func(i *wtsInfoEx) { i.UserName = [21]uint16{} }), state{open: true}, false},
		"nothing":              {nil, state{}, true},
		"zeros":                {make([]byte, infoSize), state{}, true},
		"another level":        {with(func(i *wtsInfoEx) { i.Level = 2 }), state{}, true},
		"another session":      {with(func(i *wtsInfoEx) { i.SessionID = 4 }), state{}, true},
		"a state that is none": {with(func(i *wtsInfoEx) { i.SessionState = 10 }), state{}, true},
		"cut off":              {encode(newStation().info)[:infoSize-1], state{}, true},
	} {
		info, err := parseInfo(c.b, 3)
		if (err != nil) != c.bad || err == nil && info.state() != c.want {
			t.Errorf("%s: %+v, %v", name, info.state(), err)
		}
	}
	// The offsets that a C compiler gives the documented structure.
	b := with(func(i *wtsInfoEx) { i.LogonTime = 0x1122334455667788 })
	if le := binary.LittleEndian; le.Uint32(b[8:]) != 3 || le.Uint32(b[16:]) != sessionUnlocked || le.Uint16(b[86:]) != 'c' || le.Uint64(b[168:]) != 0x1122334455667788 {
		t.Errorf("% x", b)
	}
}

// TestEnd: that a session cannot be asked for does not prove that it has ended.
func TestEnd(t *testing.T) {
	s := newStation()
	for id, want := range map[string]policy.Proof{"3": policy.ProofNone, "4": policy.ProofNone, "5": policy.ProofEnded, "": policy.ProofNone, "-1": policy.ProofNone, "3 ": policy.ProofNone} {
		if got := s.ladder().Look(t.Context(), session.Session{ID: id}, 0); got != want {
			t.Errorf("session %q: %s", id, got)
		}
	}
}

// TestHoldOnWindows: how a lock ends.
func TestHoldOnWindows(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*station)
		want   Release
	}{
		"unlocked":              {func(s *station) { s.info.SessionFlags = sessionUnlocked }, Opened},
		"not known any more":    {func(s *station) { s.info.SessionFlags = 0xFFFFFFFF }, Unwatched},
		"answers make no sense": {func(s *station) { s.info.Level = 7 }, Unwatched},
		"signed out":            {func(s *station) { s.gone = true }, Ended},
		"disconnected, then unlocked": {func(s *station) {
			s.info.SessionState = windows.WTSDisconnected
			time.AfterFunc(time.Minute, func() {
				s.set(func() { s.info.SessionState, s.info.SessionFlags = windows.WTSActive, sessionUnlocked })
			})
		}, Opened},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStation()
			s.info.SessionFlags = sessionLocked
			l := s.ladder()
			ctx, cancel := context.WithCancel(t.Context())
			held := l.Hold(ctx, third)
			time.Sleep(time.Hour)
			s.set(func() { c.change(s) })
			l.Nudge()
			if got := <-held; got != c.want {
				t.Errorf("%s: %s", name, got)
			}
			cancel()
			synctest.Wait()
		})
	}
}

func TestHoldLooksAtOnceWhenNudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation()
		s.info.SessionFlags = sessionLocked
		l := s.ladder()
		held := l.Hold(t.Context(), third)
		synctest.Wait()
		began := time.Now()
		s.set(func() { s.info.SessionFlags = sessionUnlocked })
		l.Nudge()
		if got := <-held; got != Opened || time.Since(began) > time.Second {
			t.Errorf("%s after %v", got, time.Since(began))
		}
	})
}

// TestOnWine asks what Wine has of Windows: an answer without an error number is no success.
func TestOnWine(t *testing.T) {
	l := New(Options{RungWait: 100 * time.Millisecond})
	if ids, err := (wts{}).Sessions(); err != nil || len(ids) == 0 {
		t.Errorf("%v, %v", ids, err)
	}
	s := here(t)
	if got := l.Look(t.Context(), s, 0); got != policy.ProofNone {
		t.Errorf("looks %s", got)
	}
	if got := l.Look(t.Context(), session.Session{ID: "77"}, 0); got != policy.ProofEnded {
		t.Errorf("a session that there is not looks %s", got)
	}
	var rungs []string
	proof := l.Secure(t.Context(), s, Want{Terminate: true}, func(st Step) { rungs = append(rungs, string(st.Rung)+":"+string(st.Code)) })
	if got := strings.Join(rungs, " "); proof != policy.ProofNone || got != "workstation:unavailable disconnect:unproved terminate:unavailable" {
		t.Errorf("%s, %s", proof, got)
	}
}
