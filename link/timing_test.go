package link

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// played runs one conversation over a pipe in a time of its own, with the times that hold in the product.
func played(t *testing.T, hello Message, play func(p peer, h *fakeHost, o *Outbox)) {
	synctest.Test(t, func(t *testing.T) {
		h, o := newFakeHost(), NewOutbox("ab")
		s := &Server{host: h, outbox: o, users: map[string]int{}, timing: usual}
		ours, theirs := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { defer theirs.Close(); s.converse(t.Context(), theirs, myself) })
		p := peer{t, ours}
		if hello.bodies() > 0 {
			p.say(hello)
		}
		play(p, h, o)
		ours.Close()
		wg.Wait()
		s.wg.Wait()
	})
}

// over says whether the server has closed the pipe.
func over(p peer) bool {
	synctest.Wait()
	p.SetReadDeadline(time.Now())
	for {
		_, err := Read(p)
		if err != nil {
			return err.Error() == "EOF"
		}
	}
}

func TestHelloIsDueInFiveSeconds(t *testing.T) {
	for _, hello := range []Message{{}, helloStatus} {
		played(t, hello, func(p peer, _ *fakeHost, _ *Outbox) {
			began := time.Now()
			p.refused("protocol")
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("turned away after %s", took)
			}
		})
	}
}

func TestSilentTrayIsLost(t *testing.T) {
	if usual.silence != 3*BeatEvery {
		t.Errorf("silence %s, beats every %s", usual.silence, BeatEvery)
	}
	played(t, helloTray, func(p peer, h *fakeHost, _ *Outbox) {
		for range 20 {
			time.Sleep(usual.silence - time.Second)
			p.say(beat)
		}
		if over(p) || down(h) != 0 {
			t.Error("a tray that beats is lost")
		}
		time.Sleep(usual.silence - time.Second)
		if over(p) {
			t.Error("lost too early")
		}
		time.Sleep(2 * time.Second)
		if !over(p) || down(h) != 1 {
			t.Errorf("not lost a second after %s, down %d", usual.silence, down(h))
		}
	})
}

func TestLockNowOnceASecond(t *testing.T) {
	played(t, helloTray, func(p peer, h *fakeHost, _ *Outbox) {
		for range 500 {
			p.say(lockNow) // the server takes them at its own pace
		}
		took := int(500 * usual.pace / time.Second)
		synctest.Wait()
		if n := locks(h); n < 1 || n > took+1 {
			t.Errorf("%d locks in %d s", n, took)
		}
		before := locks(h)
		time.Sleep(time.Second)
		p.say(lockNow)
		synctest.Wait()
		if locks(h) != before+1 {
			t.Error("a second later it is not taken")
		}
	})
}

// TestFloodOfATrayIsPaced: whoever writes without end costs the enforcer a hundred messages a second, no more.
func TestFloodOfATrayIsPaced(t *testing.T) {
	played(t, helloTray, func(p peer, h *fakeHost, _ *Outbox) {
		began := time.Now()
		for range 1000 {
			p.say(beat)
		}
		if took := time.Since(began); took < 900*usual.pace {
			t.Errorf("1000 messages were taken in %s", took)
		}
	})
}

// TestTrayThatNeverReads keeps the newest state only, and is cut off after five seconds.
func TestTrayThatNeverReads(t *testing.T) {
	played(t, helloTray, func(p peer, h *fakeHost, _ *Outbox) {
		synctest.Wait()
		for i := range 1000 {
			h.show(State{DeadlineMS: int64(i)})
		}
		synctest.Wait()
		for i := range 1000 {
			h.show(State{DeadlineMS: int64(1000 + i)})
		}
		p.hear() // the one that was under way
		if m := p.hear(); m.State == nil || m.State.DeadlineMS != 1999 {
			t.Errorf("heard %+v, want the newest", m)
		}
		h.show(State{})
		time.Sleep(6 * time.Second)
		if !over(p) {
			t.Error("not cut off")
		}
		synctest.Wait()
		if down(h) != 1 {
			t.Errorf("down %d", down(h))
		}
	})
}

// TestCourierThatNeverReads is cut off after five seconds; its events stay for the next one.
func TestCourierThatNeverReads(t *testing.T) {
	played(t, helloCourier, func(p peer, h *fakeHost, o *Outbox) {
		for range 100 {
			o.Add(critical())
		}
		time.Sleep(usual.write + time.Second)
		if !over(p) {
			t.Error("not cut off")
		}
		if n := see(h, func(h *fakeHost) int { return len(h.said) }); n != 1 {
			t.Errorf("the host was told %d times", n)
		}
		counts(t, o, 100, 100, 0)
	})
}

func down(h *fakeHost) int  { return see(h, func(h *fakeHost) int { return h.down }) }
func locks(h *fakeHost) int { return see(h, func(h *fakeHost) int { return h.locks }) }
