package inventory

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stepaway/audit"
)

// scene is a Watch in a bubble's time, over a state that the test writes and a real directory.
type scene struct {
	t      *testing.T
	folder Folder

	mu     sync.Mutex
	now    State
	events []string
	deaf   bool // the loop takes no more events
	asked  chan struct{}
}

func newScene(t *testing.T) *scene {
	return &scene{t: t, folder: Folder(t.TempDir()), now: State{"1.0", map[string]string{Policy: "p", "tray": hash([]byte("1")), "tray mode": "0755",
		"stepaway.service Restart": "always", Managed: "answers"}}, asked: make(chan struct{}, 1)}
}

func (s *scene) change(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Items = maps.Clone(s.now.Items)
	if s.now.Items[name] = value; value == "" {
		delete(s.now.Items, name)
	}
}

func (s *scene) take(context.Context) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{s.now.Version, maps.Clone(s.now.Items)}
}

func (s *scene) record(_ context.Context, e audit.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return false
	}
	f := e.Facts
	words := []string{strings.TrimPrefix(string(e.Type), "state."), string(f.Key), string(f.Old), string(f.New), string(f.Code), string(f.Source)}
	s.events = append(s.events, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
	if e.Type == audit.StateRecorded && (len(f.Ref) != 64 || f.Count != int64(len(s.now.Items))) {
		s.t.Errorf("%+v", f)
	}
	return true
}

// run is one run of the agent while during happens; what it recorded is compared with want.
func (s *scene) run(what string, during func(), want ...string) {
	s.t.Helper()
	s.events = nil
	ctx, stop := context.WithCancel(s.t.Context())
	began := time.Now()
	tick := &ticks{c: make(chan struct{}, 1), began: began}
	w := &Watch{Take: s.take, Record: s.record, Folder: s.folder, Now: func() time.Duration { return time.Since(began) }, Timer: tick,
		Asked: s.asked, Log: slog.New(slog.DiscardHandler)}
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	synctest.Wait()
	if during != nil {
		during()
		synctest.Wait()
	}
	stop()
	<-done
	tick.Set(1 << 60)
	if !slices.Equal(s.events, want) {
		s.t.Errorf("%s: %q, want %q", what, s.events, want)
	}
}

func (s *scene) ask(r Request) Kept {
	must(s.t, s.folder.Ask(r))
	s.asked <- struct{}{}
	synctest.Wait()
	k, err := s.folder.Load()
	must(s.t, err)
	if k.Answers != r.Name {
		s.t.Errorf("answers %q, not %q", k.Answers, r.Name)
	}
	return k
}

type ticks struct {
	c     chan struct{}
	began time.Time
	t     *time.Timer
}

func (k *ticks) C() <-chan struct{} { return k.c }
func (k *ticks) Set(at time.Duration) error {
	if k.t != nil {
		k.t.Stop()
	}
	if at < 1<<60 {
		k.t = time.AfterFunc(at-time.Since(k.began), func() { k.c <- struct{}{} })
	}
	return nil
}

const two = "d4735e3a265e" // SHA-256 of "2"
const one = "6b86b273ff34"

func TestTheFirstStateOfAVersionIsApproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run("first", nil, "recorded first")
		s.run("the same", nil, "recorded start")
		s.change(Policy, "q")
		s.run("another policy", nil, "recorded start")
		s.now.Version = "1.1"
		s.change("tray", hash([]byte("2")))
		s.change("tray mode", "0750")
		s.run("upgrade", nil, "recorded upgrade")
		s.run("after it", nil, "recorded start")
		s.change("tray", hash([]byte("1")))
		s.run("changed", nil, "recorded start", "drifted tray "+two+" "+one)
	})
}

func TestADifferenceIsToldOnceARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run("days", func() {
			time.Sleep(Every - time.Second)
			s.change("tray", hash([]byte("2")))
			time.Sleep(2 * time.Second)
			s.change("stepaway.service Restart", "no")
			time.Sleep(Every)
			time.Sleep(Every)
			s.change("stepaway.service Restart", "always")
			time.Sleep(Every)
			s.change("stepaway.service Restart", "no")
			time.Sleep(Every)
		}, "recorded first", "recorded daily", "drifted tray "+one+" "+two, "recorded daily", "drifted stepaway.service Restart always no",
			"recorded daily", "recorded daily", "recorded daily", "drifted stepaway.service Restart always no")
		again := []string{"recorded start", "drifted stepaway.service Restart always no", "drifted tray " + one + " " + two}
		s.run("again", nil, again...)
		s.change("tray", "")
		s.change("tray mode", "")
		s.change("etc:x.conf", hash([]byte("2")))
		s.change("etc:x.conf owner", "0:0")
		s.change("stepaway.service Restart", "always")
		s.run("gone and new", nil, "recorded start", "drifted etc:x.conf new "+two, "drifted tray "+one+" gone")
	})
}

func TestManyDifferencesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run("first", nil, "recorded first")
		for i := range mostTold + 7 {
			s.change("etc:"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "0")
		}
		s.run("many", func() {
			if len(s.events) != mostTold+2 || s.events[mostTold+1] != "drifted more" {
				t.Errorf("%d events, last %q", len(s.events), s.events[len(s.events)-1])
			}
			s.mu.Lock()
			s.events = nil
			s.mu.Unlock()
			time.Sleep(Every + time.Second)
		}, "recorded daily")
	})
}

func TestADowngradeIsADifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.now.Version = "1.10"
		s.run("first", nil, "recorded first")
		s.now.Version = "1.9"
		s.change("tray", hash([]byte("2")))
		s.run("older", nil, "recorded start", "drifted version 1.10 1.9 downgrade", "drifted tray "+one+" "+two)
		s.now.Version = "1.10"
		s.change("tray", hash([]byte("1")))
		s.run("back", nil, "recorded start")
		s.now.Version = "1.9"
		s.run("approved", func() {
			k := s.ask(Request{Name: "a"})
			s.ask(Request{Name: "b", Approve: k.Present.Hash(), By: "root"})
		}, "recorded start", "drifted version 1.10 1.9 downgrade", "approved root")
		s.run("since then", nil, "recorded start")
	})
}

// TestAnUpgradeApprovesNoDriftOfBefore: what differed and was not touched by the upgrade goes on to differ.
func TestAnUpgradeApprovesNoDriftOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run("first", nil, "recorded first")
		s.change("etc:evil.conf", hash([]byte("2")))
		s.change("stepaway.service Restart", "no")
		s.change("tray", hash([]byte("2")))
		s.change("tray mode", "")
		s.run("drifted", nil, "recorded start", "drifted etc:evil.conf new "+two, "drifted stepaway.service Restart always no",
			"drifted tray "+one+" "+two, "drifted tray mode 0755 gone")
		s.now.Version = "2.0"
		s.change("tray", hash([]byte("3")))
		s.change("tray mode", "0755")
		s.run("upgraded", nil, "recorded upgrade", "drifted etc:evil.conf new "+two, "drifted stepaway.service Restart always no")
		s.change("etc:evil.conf", "")
		s.change("stepaway.service Restart", "always")
		s.run("healed", nil, "recorded start")
	})
}

func TestApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run("first", nil, "recorded first")
		s.change("tray mode", "0777")
		var seen Kept
		s.run("looked at", func() { seen = s.ask(Request{Name: "look"}) }, "recorded start", "drifted tray mode 0755 0777")
		if len(seen.Open) != 1 || seen.Open[0] != (Difference{"tray mode", "0755", "0777"}) || seen.At.IsZero() {
			t.Errorf("%+v", seen)
		}
		s.change("tray", hash([]byte("2")))
		s.run("changed meanwhile", func() {
			if k := s.ask(Request{Name: "x", Approve: seen.Present.Hash()}); len(k.Open) != 2 || k.Approved.Hash() == k.Present.Hash() {
				t.Errorf("%+v", k.Open)
			}
			seen = s.ask(Request{Name: "again"})
		}, "recorded start", "drifted tray "+one+" "+two, "drifted tray mode 0755 0777")
		s.deaf = true
		s.run("not recorded", func() {
			must(t, s.folder.Ask(Request{Name: "y", Approve: seen.Present.Hash()}))
			s.asked <- struct{}{}
		})
		s.deaf = false
		s.run("approved", func() {
			if k := s.ask(Request{Name: "z", Approve: seen.Present.Hash(), By: "nurse=\n"}); len(k.Open) != 0 {
				t.Errorf("%+v", k.Open)
			}
		}, "recorded start", "drifted tray "+one+" "+two, "drifted tray mode 0755 0777", "approved nurse??")
		s.run("since then", func() {
			time.Sleep(Every + time.Second)
			if k := s.ask(Request{Name: "still"}); len(k.Open) != 0 || k.Approved.Items["tray"] != hash([]byte("2")) {
				t.Errorf("%+v", k)
			}
		}, "recorded start", "recorded daily")
	})
}

func TestWhatIsKeptDamaged(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"cut":      func(p string) error { return os.Truncate(p, 30) },
		"empty":    func(p string) error { return os.Truncate(p, 0) },
		"endless":  func(p string) error { return os.Truncate(p, 1<<40) },
		"null":     func(p string) error { return os.WriteFile(p, []byte("null"), 0o600) },
		"readable": func(p string) error { return os.Chmod(p, 0o644) },
		"link":     func(p string) error { return errors.Join(os.Rename(p, p+".x"), os.Symlink(p+".x", p)) },
		"changed": func(p string) error {
			b, err := os.ReadFile(p)
			return errors.Join(err, os.WriteFile(p, []byte(strings.Replace(string(b), "always", "no", 1)), 0o600))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			s.run("first", nil, "recorded first")
			must(t, damage(s.folder.kept()))
			if _, err := s.folder.Load(); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			s.run(name, nil, "drifted approved-state damaged", "recorded damaged")
			s.run(name+", kept again", nil, "recorded start")
		})
	}
}

func TestWhatIsKeptIsForItsOwner(t *testing.T) {
	f := Folder(t.TempDir())
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing kept: %v", err)
	}
	k := Kept{Approved: State{"1", map[string]string{"a": "b"}}, Open: []Difference{{"a", "b", "c"}}}
	must(t, f.Save(k))
	must(t, f.Ask(Request{Name: "r"}))
	for _, path := range []string{f.kept(), f.request()} {
		if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	k.Sum = k.Approved.Hash()
	if back, err := f.Load(); err != nil || !reflect.DeepEqual(back, k) {
		t.Errorf("%+v, %v", back, err)
	}
	must(t, os.Chmod(f.request(), 0o666))
	if _, err := f.take(); !errors.Is(err, ErrDamaged) {
		t.Errorf("a request that others could write: %v", err)
	}
	if _, err := f.take(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it waits on: %v", err)
	}
	if left, err := os.ReadDir(string(f)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := Folder(string(f) + "/gone").Save(k); err == nil {
		t.Error("kept in a directory that is not there")
	}
}

func TestRequestsAreHinted(t *testing.T) {
	f := Folder(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hints, err := f.Requests(ctx)
	must(t, err)
	must(t, f.Ask(Request{Name: "r"}))
	select {
	case <-hints:
	case <-time.After(time.Minute):
		t.Error("no hint")
	}
	if r, err := f.take(); err != nil || r.Name != "r" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Folder(string(f) + "/gone").Requests(ctx); err == nil {
		t.Error("a directory that is not there is watched")
	}
}
