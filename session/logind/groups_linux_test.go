package logind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/session"
	"stepaway/test/rig"
)

const day = 24 * time.Hour

var noon = time.Unix(1_800_000_000, 0)

func aFile(t *testing.T) *lastKnown {
	return &lastKnown{path: t.TempDir() + "/groups.json", log: slog.New(slog.DiscardHandler)}
}

// again is what the next start finds.
func again(l *lastKnown) *lastKnown { return &lastKnown{path: l.path, log: l.log} }

func TestGroupsOutliveARestart(t *testing.T) {
	l := aFile(t)
	l.keep(1000, "nurse", []string{"wards", "root"}, []string{"wards", "root"}, noon)
	if st, err := os.Stat(l.path); err != nil || st.Mode() != 0o600 {
		t.Fatalf("%v %v", st, err)
	}
	for what, c := range map[string]struct {
		uid  uint32
		user string
		at   time.Duration
		want []string
	}{
		"the same":          {1000, "nurse", 0, []string{"root", "wards"}},
		"much later":        {1000, "nurse", 90 * day, []string{"root", "wards"}},
		"too late":          {1000, "nurse", 90*day + time.Second, nil},
		"clock put back":    {1000, "nurse", -5000 * day, []string{"root", "wards"}},
		"another's uid now": {1000, "doctor", 0, nil},
		"another uid":       {1001, "nurse", 0, nil},
	} {
		if got := again(l).of(c.uid, c.user, noon.Add(c.at)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", what, got)
		}
	}
	if uid, ok := again(l).uid("nurse", noon); !ok || uid != 1000 {
		t.Errorf("nurse had uid %d, %v", uid, ok)
	}
	if _, ok := again(l).uid("nurse", noon.Add(91*day)); ok {
		t.Error("found after 91 days")
	}
	n := again(l)
	if n.of(1000, "nurse", noon); !n.wasLocal(1000)("root") || n.wasLocal(1000)("wards") {
		t.Error("which group is local")
	}
	n.keep(1000, "doctor", []string{"beds"}, []string{"beds"}, noon)
	if got := again(l).of(1000, "nurse", noon); got != nil {
		t.Errorf("what the uid was is kept: %v", got)
	}
	if left, err := os.ReadDir(strings.TrimSuffix(l.path, "/groups.json")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// Each group has an age of its own: what nobody confirms goes, though others are.
func TestAGroupThatNobodyConfirmsGoes(t *testing.T) {
	l := aFile(t)
	both := []string{"beds", "wards"}
	l.keep(1000, "nurse", both, both, noon)
	written := func() os.FileInfo { st, _ := os.Stat(l.path); return st }
	was := written()
	l.keep(1000, "nurse", []string{"beds"}, both, noon.Add(time.Hour))
	l.keep(1000, "nurse", nil, both, noon.Add(2*day))
	if !os.SameFile(was, written()) {
		t.Error("written though nothing changed")
	}
	l.keep(1000, "nurse", []string{"beds"}, both, noon.Add(80*day))
	if got := again(l).of(1000, "nurse", noon.Add(100*day)); !slices.Equal(got, []string{"beds"}) {
		t.Errorf("%v", got)
	}
	l.keep(1000, "nurse", []string{"beds"}, []string{"beds"}, noon.Add(81*day))
	if got := again(l).of(1000, "nurse", noon.Add(81*day)); !slices.Equal(got, []string{"beds"}) {
		t.Errorf("left: %v", got)
	}
	l.keep(1000, "nurse", nil, nil, noon.Add(81*day))
	if _, there := again(l).uid("nurse", noon); there {
		t.Error("a user of no group is kept")
	}
}

func TestWhatIsKeptOfGroupsIsBounded(t *testing.T) {
	l := &lastKnown{}
	for i := range uint32(maxUsers + 5) {
		l.keep(i, "u", []string{"g"}, []string{"g"}, noon.Add(time.Duration(i)*time.Second))
	}
	if len(l.users) != maxUsers || l.of(4, "u", noon) != nil || l.of(5, "u", noon) == nil {
		t.Errorf("%d users", len(l.users))
	}
	l = &lastKnown{}
	var many []string
	for i := range maxGroups {
		many = append(many, fmt.Sprint("g", i))
	}
	for i := range uint32(maxKept/maxGroups + 3) {
		l.keep(i, "u", many, many, noon.Add(time.Duration(i)*time.Second))
	}
	if len(l.users) != maxKept/maxGroups || l.of(2, "u", noon) != nil {
		t.Errorf("%d users of many groups", len(l.users))
	}
	if len(union(many, []string{"more"})) != maxGroups {
		t.Error("one user has more groups than are kept")
	}
}

func TestGroupsFromAFileThatOthersCouldWrite(t *testing.T) {
	for what, damage := range map[string]func(path string) error{
		"cut":      func(p string) error { return os.Truncate(p, 9) },
		"empty":    func(p string) error { return os.Truncate(p, 0) },
		"null":     func(p string) error { return os.WriteFile(p, []byte("null"), 0o600) },
		"endless":  func(p string) error { return os.Truncate(p, 1<<40) },
		"readable": func(p string) error { return os.Chmod(p, 0o640) },
		"link":     func(p string) error { return errors.Join(os.Rename(p, p+".x"), os.Symlink(p+".x", p)) },
		"gone":     os.Remove,
	} {
		l := aFile(t)
		l.keep(1000, "nurse", []string{"wards"}, []string{"wards"}, noon)
		if err := damage(l.path); err != nil {
			t.Fatal(err)
		}
		n := again(l)
		if got := n.of(1000, "nurse", noon); got != nil {
			t.Errorf("%s: %v", what, got)
		}
		n.keep(1000, "nurse", []string{"beds"}, []string{"beds"}, noon)
		if got := again(l).of(1000, "nurse", noon); !slices.Equal(got, []string{"beds"}) {
			t.Errorf("%s: kept again: %v", what, got)
		}
	}
}

// A hung name service costs one time limit, not one for each question.
func TestAMuteNameServiceIsAskedOnce(t *testing.T) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	d := &directory{ctx: ended}
	if _, r := d.get("passwd", "root"); r != silent || !d.mute {
		t.Errorf("%v %v", r, d.mute)
	}
	d.ctx = t.Context()
	if names, answered := d.lookUp(0, "root", []uint32{0}); answered || !slices.Contains(names, "root") {
		t.Errorf("%v %v", names, answered)
	}
	if got := d.unanswered("root", []string{"root", "wards"}, []string{"root"}, true, func(string) bool { return true }); !slices.Equal(got, []string{"wards"}) {
		t.Errorf("%v", got)
	}
}

func TestWhatAnAnswerSaysOfGroups(t *testing.T) {
	rig.Tool(t, "getent")
	d := &directory{ctx: t.Context()}
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for _, c := range []struct {
		what, user string
		answered   bool
		local      func(string) bool
		want       []string
	}{
		{"nothing answered", "nosuch", false, yes, []string{"daemon", "nosuch"}},
		{"a local user; a directory's group is not found", "root", true, no, []string{"nosuch"}},
		{"a local group was removed", "root", true, yes, nil},
		{"a directory's user, whose directory answers", "nosuch", true, no, nil},
	} {
		if got := d.unanswered(c.user, []string{"root", "daemon", "nosuch"}, []string{"root"}, c.answered, c.local); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	for name, want := range map[string]reply{"root": found, "nosuch-user": missing, "0": missing, "-s": silent, "": silent} {
		if _, r := d.account(name); r != want {
			t.Errorf("account %q: %v", name, r)
		}
	}
	if names, answered := d.lookUp(7, "root", nil); answered || slices.Contains(names, "root") {
		t.Errorf("an account of another uid: %v %v", names, answered)
	}
	if _, _, err := GroupsOf(t.Context(), "nosuch-user"); !errors.Is(err, ErrUnknownUser) {
		t.Error(err)
	}
	if names, source, err := GroupsOf(t.Context(), "root"); err != nil || source != "name service" || !slices.Contains(names, "root") {
		t.Errorf("%v %q %v", names, source, err)
	}
}

// extrausers are users and groups that getent sees and a static program does not, as those of a directory server.
const (
	extra     = "/var/lib/extrausers"
	putAway   = "/var/lib/extrausers.away"
	dirUser   = "dirnurse:x:5000:5000::/home/dirnurse:/bin/bash\n"
	dirGroups = "dirnurse:x:5000:\nwards:x:6001:dirnurse\nbeds:x:6002:\n"
)

func withDirectory(c *rig.Container) {
	c.Write(extra+"/passwd", dirUser, 0o644)
	c.Write(extra+"/group", dirGroups, 0o644)
	c.Write(extra+"/shadow", "dirnurse:*:19000:0:99999:7:::\n", 0o640)
	c.Write("/etc/nsswitch.conf", "passwd: files extrausers\ngroup: files extrausers\nshadow: files extrausers\n", 0o644)
	c.Must("install", "-d", "-o", "5000", "-g", "5000", "/home/dirnurse")
}

func TestGroupsOfADirectory(t *testing.T) {
	rig.InContainer(t, func(t *testing.T, c *rig.Container) {
		withDirectory(c)
		o := Options{Groups: "/var/lib/groups.json", Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		want := []string{"dirnurse", "wards"}
		if names, source, err := o.GroupsOf(t.Context(), "dirnurse"); err != nil || source != "name service" || !slices.Equal(names, want) {
			t.Errorf("%v %q %v", names, source, err)
		}
		who := session.Session{UID: 5000, User: "dirnurse"}
		// look is what a new start finds at first and after the name service was asked.
		look := func(o Options, who session.Session) (first, then []string) {
			g := newGroups(t.Context(), func() {})
			g.last = &lastKnown{path: o.Groups, log: o.Log}
			first = g.of(who)
			g.wait()
			return first, g.of(who)
		}
		if _, then := look(o, who); !slices.Equal(then, want) {
			t.Errorf("while the directory answers: %v", then)
		}

		c.Must("mv", extra, putAway)
		for range 2 {
			if first, then := look(o, who); !slices.Equal(first, want) || !slices.Equal(then, want) {
				t.Errorf("unreachable: %v, then %v", first, then)
			}
		}
		if _, then := look(Options{}, who); len(then) != 0 {
			t.Errorf("nothing kept: %v", then)
		}
		if _, then := look(o, session.Session{UID: 5000, User: "other"}); len(then) != 0 {
			t.Errorf("the uid is another's: %v", then)
		}
		if names, source, err := o.GroupsOf(t.Context(), "dirnurse"); err != nil || source != "last known" || !slices.Equal(names, want) {
			t.Errorf("%v %q %v", names, source, err)
		}
		if _, _, err := GroupsOf(t.Context(), "dirnurse"); !errors.Is(err, ErrUnknownUser) {
			t.Error(err)
		}

		c.Must("mv", putAway, extra)
		c.Write(extra+"/group", strings.ReplaceAll(strings.Replace(dirGroups, "wards:x:6001:dirnurse", "wards:x:6001:", 1), "6002:", "6002:dirnurse"), 0o644)
		if first, then := look(o, who); !slices.Equal(first, want) || !slices.Equal(then, []string{"dirnurse", "beds"}) {
			t.Errorf("other groups: %v, then %v", first, then)
		}

		// nurse has an account in the local files and a group in the directory
		c.Write(extra+"/group", dirGroups+"theatre:x:6003:nurse\n", 0o644)
		nurse := session.Session{UID: 1000, User: "nurse"}
		both := []string{"nurse", "clinicians", "theatre"}
		if _, then := look(o, nurse); !slices.Equal(then, both) {
			t.Errorf("a local account: %v", then)
		}
		c.Must("mv", extra, putAway)
		if first, then := look(o, nurse); !slices.Equal(first, both) || !slices.Equal(then, both) {
			t.Errorf("a local account, unreachable: %v, then %v", first, then)
		}
		c.Must("gpasswd", "-d", "nurse", "clinicians")
		if _, then := look(o, nurse); !slices.Equal(then, []string{"nurse", "theatre"}) {
			t.Errorf("a local account that left a group: %v", then)
		}
	})
}

// A directory that hangs holds up no snapshot.
func TestFirstAnswerDoesNotWait(t *testing.T) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	g := newGroups(ended, func() {})
	g.last.keep(5000, "dirnurse", []string{"wards"}, []string{"wards"}, time.Now())
	if got := g.of(session.Session{UID: 5000, User: "dirnurse"}); !slices.Equal(got, []string{"wards"}) {
		t.Errorf("%v", got)
	}
}
