package lock

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/policy"
	"stepaway/test/rig"
)

// waiting is a closing with a busy file, as far as the wait for it.
func waiting(file string, most time.Duration) (c *closing, said *atomic.Int32) {
	said = &atomic.Int32{}
	return &closing{Ladder: New(Options{}), c: policy.Client{Name: "x", BusyFile: file, BusyMost: most}, report: func(st ClientStep) {
		if st.Code == BusyUntrusted && st.Count == 1 {
			said.Add(1)
		}
	}}, said
}

// rootsFile is there for as long as the system is.
const rootsFile = "/etc/passwd"

func TestBusyFileOfRootsPutsOffForAsLongAsPolicySays(t *testing.T) {
	c, said := waiting(rootsFile, 1300*time.Millisecond)
	began := time.Now()
	if !c.waitBusy(t.Context()) || said.Load() != 0 {
		t.Errorf("no veto; %d said", said.Load())
	}
	if took := time.Since(began); took < 1300*time.Millisecond || took > rig.Patience {
		t.Errorf("waited %v", took)
	}
	c, _ = waiting(rootsFile, 0)
	if c.waitBusy(t.Context()) {
		t.Error("waited where policy allows none")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c, said = waiting(rootsFile, time.Hour)
	if c.waitBusy(ctx); ctx.Err() == nil || said.Load() != 0 {
		t.Error("it goes on after its end")
	}
}

func TestBusyFileThatGoesOrTurnsBadEndsTheWait(t *testing.T) {
	if os.Getuid() != 0 {
		return // needs a file of root's
	}
	dir, err := os.MkdirTemp("/run", "busy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := dir + "/busy"
	for name, r := range map[string]struct {
		then func() error
		said int32
	}{
		"removed":          {func() error { return os.Remove(file) }, 0},
		"given to a user":  {func() error { return os.Chown(file, 65534, 0) }, 1},
		"writable for all": {func() error { return os.Chmod(file, 0o666) }, 1},
		"replaced by a link": {func() error {
			_ = os.Remove(file)
			return os.Symlink(rootsFile, file)
		}, 1},
		"in a directory that all may write": {func() error { return os.Chmod(dir, 0o777) }, 1},
	} {
		_ = os.Remove(file)
		_ = os.Chmod(dir, 0o755)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c, said := waiting(file, time.Hour)
		began := time.Now()
		time.AfterFunc(700*time.Millisecond, func() {
			if err := r.then(); err != nil {
				t.Error(err)
			}
		})
		if !c.waitBusy(t.Context()) || said.Load() != r.said {
			t.Errorf("%s: %d said, want %d", name, said.Load(), r.said)
		}
		if took := time.Since(began); took < 700*time.Millisecond || took > rig.Patience {
			t.Errorf("%s: waited %v", name, took)
		}
	}
}

func TestWhatIsNoBusyFileOfRootsPutsNothingOff(t *testing.T) {
	dir := t.TempDir()
	own := func(name string, do func(path string) error) string {
		if err := do(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	for _, r := range []struct {
		path string
		said int32
	}{
		{"", 0},
		{dir + "/missing", 0},
		{dir + "/missing/busy", 0},
		{own("file", func(p string) error { return os.WriteFile(p, nil, 0o644) }), 1}, // below /tmp, also where it is root's
		{own("link", func(p string) error { return os.Symlink(rootsFile, p) }), 1},
		{own("fifo", func(p string) error { return unix.Mkfifo(p, 0o644) }), 1},
		{own("dir", func(p string) error { return os.Mkdir(p, 0o755) }), 1},
		{"/etc", 1},
		{"/dev/null", 1},
		{"/proc/self/root/etc/passwd", 1},
	} {
		c, said := waiting(r.path, time.Hour)
		began := time.Now()
		if c.waitBusy(t.Context()) || said.Load() != r.said {
			t.Errorf("%s: waited %v, %d said, want %d", r.path, time.Since(began), said.Load(), r.said)
		}
	}
}

// TestClientThatIsBusyIsClosedLater with real processes: the file goes, the wait is over, and a user's own file.
func TestClientThatIsBusyIsClosedLater(t *testing.T) {
	inContainer(t, func(b *bench) {
		client := b.install("client")
		run := func(cue string) string {
			return "(while [ ! -e $HOME/" + cue + " ]; do sleep .05; done; LOCK_TEST_ROLE=sleep " + client + ") &"
		}
		s := b.desktop(run("one"), run("two"), run("three"))
		start := func(cue string) {
			b.c.As("nurse", "", "touch", "/home/nurse/"+cue)
			b.waitCount(nurse, client, 1)
		}
		const file = "/run/example-ehr/busy"
		b.c.Must("sh", "-c", "mkdir /run/example-ehr && touch "+file)
		c := policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.Close, Grace: time.Minute, BusyFile: file, BusyMost: time.Hour}

		start("one")
		time.AfterFunc(2*time.Second, func() {
			if n := count(nurse, client); n != 1 {
				b.Errorf("%d clients while busy", n)
			}
			_ = os.Remove(file)
		})
		b.closeBusy(2*time.Second, func() { b.closeClients(s, 0, "x:close:1:busy x:closed:1:busy", c) })

		start("two")
		b.c.Must("touch", file)
		c.BusyMost, c.AtDeadline = 2*time.Second, policy.End
		b.closeBusy(2*time.Second, func() { b.closeClients(s, 0, "x:ended:1:busy", c) })
		b.closeBusy(0, func() { b.closeClients(s, 0, "", c) }) // nothing is left that could be busy

		start("three")
		c.BusyMost = time.Hour
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if left := b.l.CloseClients(ctx, s, []policy.Client{c}, nil); left != 1 || count(nurse, client) != 1 {
			b.Errorf("who is back has %d clients, and %d are said to be left", count(nurse, client), left)
		}
		c.BusyFile = "/home/nurse/one" // the user's own
		b.closeBusy(0, func() { b.closeClients(s, 0, "x:busy-untrusted:1 x:ended:1", c) })
	})
}

// closeBusy runs a closing that must take at least so long.
func (b *bench) closeBusy(least time.Duration, do func()) {
	b.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took < least || took > least+rig.Patience {
		b.Errorf("closing took %v, want %v", took, least)
	}
}

// stepsOf lists steps in order of their words.
func stepsOf(steps []ClientStep) string {
	var out []string
	for _, st := range steps {
		word := fmt.Sprintf("%s:%s:%d", st.Client, st.Code, st.Count)
		if st.Busy {
			word += ":busy"
		}
		out = append(out, word)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
