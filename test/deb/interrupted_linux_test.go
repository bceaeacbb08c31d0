package deb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched asks for the status all the time and keeps the longest time without an answer.
type watched struct {
	mu      sync.Mutex
	longest time.Duration
	at      time.Time
	done    sync.WaitGroup
}

func (m *machine) watch(ctx context.Context) *watched {
	w := &watched{at: time.Now()}
	w.done.Go(func() {
		for ctx.Err() == nil {
			_, err := m.status(time.Second)
			w.mu.Lock()
			w.longest = max(w.longest, time.Since(w.at))
			if err == nil {
				w.at = time.Now()
			}
			w.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
		}
	})
	return w
}

// since is the longest time without an answer since it was last asked for.
func (w *watched) since() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.longest
	w.longest = 0
	return d
}

// TestInterruptedUpgradeLeavesNoGap: dpkg is killed at any moment of an upgrade or downgrade, twenty times.
func TestInterruptedUpgradeLeavesNoGap(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install("stepaway", older)
	m.guarded()
	_, locker := m.locked()
	ctx, stop := context.WithCancel(t.Context())
	w := m.watch(ctx)
	defer w.done.Wait()
	defer stop()

	began := time.Now()
	m.Must("dpkg", "--force-unsafe-io", "-i", file("stepaway", newer))
	whole := time.Since(began)
	if d := w.since(); d > longestGap {
		t.Errorf("no answer for %v in an upgrade", d)
	}
	t.Logf("an upgrade takes %v", whole)
	random := rand.New(rand.NewPCG(20, 5))
	for i := range 20 {
		version := []string{older, newer}[i%2]
		wait := time.Duration(random.Int64N(int64(whole)))
		script := fmt.Sprintf("dpkg --force-unsafe-io -i %s >/tmp/dpkg.log 2>&1 & p=$!; sleep %.3f; kill -KILL $p; wait $p", file("stepaway", version), wait.Seconds())
		_, killed := m.Run(t.Context(), "sh", "-c", script)
		state := m.Must("dpkg-query", "-W", "-f", "${Status} ${Version}", "stepaway")
		if out, err := m.Run(t.Context(), "dpkg", "--force-unsafe-io", "--configure", "-a"); err != nil && !strings.Contains(state, "reinstreq") {
			t.Fatalf("killed after %v (%s), dpkg --configure -a: %v\n%s", wait, state, err, out)
		}
		m.guarded() // also where dpkg was killed while it unpacked, which only the next installation mends (reinstreq)
		if d := w.since(); d > longestGap {
			t.Errorf("killed after %v (%s): no answer for %v", wait, state, d)
		} else {
			t.Logf("killed after %v: %s (%v); longest without an answer %v", wait.Round(time.Millisecond), state, killed != nil, d.Round(time.Millisecond))
		}
		if now := m.locker(); now != locker {
			t.Fatalf("the locker was %s and is %q", locker, now)
		}
	}
	m.Must("dpkg", "--force-unsafe-io", "-i", file("stepaway", newer))
	m.guarded()
	if state := m.Must("dpkg-query", "-W", "-f", "${Status} ${Version}", "stepaway"); state != "install ok installed "+newer {
		t.Errorf("at the end it is %s", state)
	}
	if out := m.Must("dpkg", "--audit"); out != "" {
		t.Errorf("dpkg is not content: %s", out)
	}
}
