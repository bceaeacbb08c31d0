package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/clock"
	"stepaway/session"
)

// fake stands in for the processes of a Windows desktop; what they say is up to a test.
type fake struct {
	mu      sync.Mutex
	started []*actor
	refuse  error // start fails
	locked  error // what lock returns
	locks   int
}

// actor is one process.
type actor struct {
	session session.Session
	in      *io.PipeReader // what it is asked
	out     *io.PipeWriter // what it says
	ended   chan struct{}
}

func (f *fake) start(s session.Session) (*process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	a := &actor{session: s, in: inR, out: outW, ended: make(chan struct{})}
	f.started = append(f.started, a)
	return &process{in: inW, out: outR, end: func() string {
		inR.Close()
		outW.Close()
		close(a.ended)
		return "it was ended"
	}}, nil
}

func (f *fake) lock(context.Context, session.Session) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locks++
	return f.locked
}

// last waits for the nth process and returns it.
func (f *fake) nth(t *testing.T, n int) *actor {
	t.Helper()
	for range 1000 {
		synctest.Wait()
		f.mu.Lock()
		if len(f.started) >= n {
			defer f.mu.Unlock()
			return f.started[n-1]
		}
		f.mu.Unlock()
		time.Sleep(time.Second)
	}
	t.Fatalf("process %d was never started", n)
	return nil
}

func (a *actor) say(s said) { _ = writeFrame(a.out, heard{Said: &s}) }

func (a *actor) hear(t *testing.T) asked {
	t.Helper()
	got, err := readAsked(a.in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var atDesk = session.Session{ID: "2", SID: "S-1-5-21-1", Kind: session.Console}

// play runs a test with Probes that follow one session, in time of its own.
func playOn(t *testing.T, f *fake, test func(t *testing.T, p *Probes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes(Options{}, f)
		p.Follow([]session.Session{atDesk})
		defer p.Close()
		test(t, p)
	})
}

func TestAProbeIsBelieved(t *testing.T) {
	f := &fake{}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		if r, known := p.Latest("2"); !known || r.Readable || r.At != 0 {
			t.Errorf("before it said anything: %+v", r)
		}
		if first := a.hear(t); first.Beat != usualBeat {
			t.Errorf("told %+v", first)
		}
		<-drain(p)
		a.say(said{Raw: true, At: 5 * time.Second, Injected: 4 * time.Second, Count: 3, Devices: 2})
		synctest.Wait()
		r, _ := p.Latest("2")
		want := Report{At: 5 * time.Second, Injected: 4 * time.Second, InjectedCount: 3, Readable: true, Why: "idle: [kind=console session=2 remote=no raw=yes devices=2 ret=probe]"}
		if r != want {
			t.Errorf("%+v, want %+v", r, want)
		}
		select {
		case <-p.Changed():
		default:
			t.Error("nobody was told")
		}
		a.say(said{Raw: true, At: 5 * time.Second, Injected: 4 * time.Second, Count: 3, Devices: 2})
		synctest.Wait()
		select {
		case <-p.Changed():
			t.Error("told of no news")
		default:
		}
		if _, known := p.Latest("3"); known {
			t.Error("a session that nobody follows")
		}
	})
}

// drain empties Changed.
func drain(p *Probes) <-chan struct{} {
	select {
	case <-p.changed:
	default:
	}
	done := make(chan struct{})
	close(done)
	return done
}

// TestNothingOfTheFuture: nor back, nor what was once told better.
func TestWhatIsNotBelieved(t *testing.T) {
	f := &fake{}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		a.hear(t)
		now := clock.Now()
		for i, c := range []struct {
			said     said
			at       time.Duration
			readable bool
		}{
			{said{At: 7 * time.Second}, 7 * time.Second, true},              // cannot tell apart, and never could
			{said{Raw: true, At: 3 * time.Second}, 7 * time.Second, true},   // not back
			{said{Raw: true, At: 9 * time.Second}, 9 * time.Second, true},   //
			{said{At: 30 * time.Second}, 9 * time.Second, false},            // told apart before
			{said{Raw: true, Blind: true}, 9 * time.Second, false},          //
			{said{Raw: true, At: 10 * time.Second}, 10 * time.Second, true}, //
		} {
			a.say(c.said)
			synctest.Wait()
			if r, _ := p.Latest("2"); r.At != c.at || r.Readable != c.readable {
				t.Errorf("%d: %+v", i, r)
			}
		}
		a.say(said{Raw: true, At: now + 1000*time.Hour, Injected: now + 1000*time.Hour})
		synctest.Wait()
		if r, _ := p.Latest("2"); r.At > clock.Now() || r.Injected > clock.Now() {
			t.Errorf("of the future: %+v", r)
		}
	})
}

// TestSilence: a probe that is stopped is given up, and another started. What was believed stays.
func TestSilence(t *testing.T) {
	f := &fake{}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		a.hear(t)
		a.say(said{Raw: true, At: 5 * time.Second, Count: 2})
		synctest.Wait()
		began := time.Now()
		<-a.ended
		if took := time.Since(began); took < patience*usualBeat || took > (patience+2)*usualBeat {
			t.Errorf("given up after %v", took)
		}
		synctest.Wait()
		if r, _ := p.Latest("2"); r.Readable || r.At != 5*time.Second || !strings.Contains(r.Why, "silent") {
			t.Errorf("while there is none: %+v", r)
		}
		b := f.nth(t, 2)
		b.hear(t)
		b.say(said{Raw: true, At: 4 * time.Second, Count: 1})
		synctest.Wait()
		if r, _ := p.Latest("2"); !r.Readable || r.At != 5*time.Second || r.InjectedCount != 3 {
			t.Errorf("of the second: %+v", r)
		}
	})
}

// TestBeatsKeepAProbe for an hour without news.
func TestBeatsKeepAProbe(t *testing.T) {
	f := &fake{}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		a.hear(t)
		for range 360 {
			a.say(said{Raw: true, At: time.Second})
			time.Sleep(usualBeat)
		}
		if r, _ := p.Latest("2"); !r.Readable || len(f.started) != 1 {
			t.Errorf("%+v, %d started", r, len(f.started))
		}
	})
}

// TestHostileProbe: whoever breaks the protocol is ended, and is not started anew in a hurry.
func TestHostileProbe(t *testing.T) {
	for name, say := range map[string][]byte{
		"garbage":             []byte(strings.Repeat("garbage", 100)),
		"no message":          frame(`{}`),
		"an unknown field":    frame(`{"said":{"raw":true,"idle":0}}`),
		"a count that falls":  append(frame(`{"said":{"raw":true,"count":5}}`), frame(`{"said":{"raw":true,"count":4}}`)...),
		"an endless frame":    {0xff, 0xff, 0xff, 0xff},
		"answers to no one":   append(frame(`{"answer":{"id":77,"ok":true}}`), frame(`{}`)...),
		"its end":             nil,
		"before the boot":     frame(`{"said":{"raw":true,"at":-5}}`),
		"half a frame, ended": {0, 0, 0, 9, '{'},
	} {
		f := &fake{}
		playOn(t, f, func(t *testing.T, p *Probes) {
			for n := 1; n <= 8; n++ {
				began := time.Now()
				a := f.nth(t, n)
				if wait := time.Since(began); n > 6 && wait < 15*time.Second {
					t.Errorf("%s: start %d after %v", name, n, wait)
				}
				go func() {
					_, _ = a.out.Write(say)
					if strings.HasSuffix(name, "ended") || say == nil {
						a.out.Close()
					}
				}()
				<-a.ended
				synctest.Wait()
				if r, _ := p.Latest("2"); r.Readable || r.At != 0 {
					t.Errorf("%s: %+v", name, r)
				}
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	f := &fake{refuse: errors.New("access denied")}
	playOn(t, f, func(t *testing.T, p *Probes) {
		synctest.Wait()
		if r, known := p.Latest("2"); !known || r.Readable || !strings.Contains(r.Why, "access denied") {
			t.Errorf("%+v %v", r, known)
		}
		if err := p.Lock(t.Context(), "2"); err != nil {
			t.Errorf("the user's own process locked: %v", err)
		}
		if err := p.EmptyClipboard(t.Context(), "2"); !errors.Is(err, ErrNoProbe) {
			t.Errorf("%v", err)
		}
		f.mu.Lock()
		f.refuse = nil
		f.mu.Unlock()
		f.nth(t, 1).hear(t)
	})
}

func TestWhoHasAProbe(t *testing.T) {
	f := &fake{}
	synctest.Test(t, func(t *testing.T) {
		p := newProbes(Options{}, f)
		far := session.Session{ID: "3", SID: "S-1-5-21-2", Kind: session.RDP}
		p.Follow([]session.Session{atDesk, far, {ID: "4", Kind: session.Console, Closing: true}, {ID: "5", Kind: session.Unknown}})
		f.nth(t, 2)
		p.Follow([]session.Session{atDesk, far})
		synctest.Wait()
		if n := len(f.started); n != 2 {
			t.Errorf("%d probes", n)
		}
		again := far
		again.SID = "S-1-5-21-3"
		p.Follow([]session.Session{again}) // the number was given again; the first is gone
		f.nth(t, 3)
		for _, a := range f.started[:2] {
			<-a.ended
		}
		if _, known := p.Latest("2"); known {
			t.Error("still followed")
		}
		p.Close()
		<-f.started[2].ended
		p.Follow([]session.Session{atDesk})
		p.Close()
		synctest.Wait()
		if n := len(f.started); n != 3 {
			t.Errorf("%d probes after the end", n)
		}
	})
}

// TestRequests: each caller gets the answer to what he asked, also when they come in another order.
func TestRequests(t *testing.T) {
	f := &fake{locked: ErrRefused}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		a.hear(t)
		results := make(chan string, 3)
		ask := func(what func() string) {
			go func() { results <- what() }()
			synctest.Wait()
		}
		ask(func() string { return fmt.Sprint("lock ", p.Lock(t.Context(), "2")) })
		ask(func() string {
			n, err := p.CloseWindows(t.Context(), "2", []uint32{5, 6})
			return fmt.Sprint("close ", n, " ", err)
		})
		ask(func() string { return fmt.Sprint("clipboard ", p.EmptyClipboard(t.Context(), "2")) })
		lock, windows, clipboard := a.hear(t), a.hear(t), a.hear(t)
		if !lock.Lock || fmt.Sprint(windows.Close) != "[5 6]" || !clipboard.Clipboard {
			t.Fatalf("asked %+v %+v %+v", lock, windows, clipboard)
		}
		for _, back := range []struct {
			answer answer
			want   string
		}{
			{answer{ID: clipboard.ID, Errno: 5}, "clipboard empty the clipboard of session 2: refused by Windows, error 5"},
			{answer{ID: windows.ID, OK: true, N: 3}, "close 3 <nil>"},
			{answer{ID: lock.ID, OK: true}, "lock <nil>"},
		} {
			_ = writeFrame(a.out, heard{Answer: &back.answer})
			if got := <-results; got != back.want {
				t.Errorf("%q, want %q", got, back.want)
			}
		}
	})
}

// TestLock: one of the two ways is enough, and both are tried.
func TestLock(t *testing.T) {
	for name, c := range map[string]struct {
		probe, user bool
		want        bool
	}{"both": {true, true, true}, "the probe": {true, false, true}, "the user": {false, true, true}, "neither": {false, false, false}} {
		f := &fake{}
		if !c.user {
			f.locked = ErrRefused
		}
		playOn(t, f, func(t *testing.T, p *Probes) {
			a := f.nth(t, 1)
			a.hear(t)
			go func() {
				got := a.hear(t)
				_ = writeFrame(a.out, heard{Answer: &answer{ID: got.ID, OK: c.probe, Errno: 120}})
			}()
			err := p.Lock(t.Context(), "2")
			if (err == nil) != c.want || err != nil && !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if f.locks != 1 {
				t.Errorf("%s: the user was asked %d times", name, f.locks)
			}
		})
	}
	p := newProbes(Options{}, &fake{})
	if err := p.Lock(t.Context(), "9"); !errors.Is(err, ErrNoProbe) {
		t.Error(err)
	}
}

// TestNoAnswer: a probe that is stopped keeps nobody waiting for ever, and neither does one that ends.
func TestNoAnswer(t *testing.T) {
	f := &fake{locked: ErrRefused}
	playOn(t, f, func(t *testing.T, p *Probes) {
		f.nth(t, 1)
		synctest.Wait()
		for range 40 { // more than there is room for
			go func() { _ = p.EmptyClipboard(context.Background(), "2") }()
		}
		began := time.Now()
		err := p.Lock(t.Context(), "2")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > askFor {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.CloseWindows(ctx, "2", []uint32{1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		go p.Follow(nil)
		if err := p.EmptyClipboard(t.Context(), "2"); !errors.Is(err, ErrNoProbe) && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestManyProcesses(t *testing.T) {
	f := &fake{}
	playOn(t, f, func(t *testing.T, p *Probes) {
		a := f.nth(t, 1)
		a.hear(t)
		pids := make([]uint32, 2*maxPIDs+1)
		asks := 0
		go func() {
			for {
				got, err := readAsked(a.in)
				if err != nil {
					return
				}
				asks++
				_ = writeFrame(a.out, heard{Answer: &answer{ID: got.ID, OK: true, N: len(got.Close)}})
			}
		}()
		if n, err := p.CloseWindows(t.Context(), "2", pids); n != len(pids) || err != nil || asks != 3 {
			t.Errorf("%d in %d, %v", n, asks, err)
		}
	})
}

// TestNothingOfTheUser: what a probe says has no field for it.
func TestNothingOfTheUser(t *testing.T) {
	b, err := json.Marshal(heard{Said: &said{}})
	if err != nil {
		t.Fatal(err)
	}
	const fields = `{"said":{"raw":false,"blind":false,"remote":false,"lenient":false,"devices":0,"at":0,"injected":0,"count":0}}`
	if string(b) != fields {
		t.Errorf("%s", b)
	}
}
