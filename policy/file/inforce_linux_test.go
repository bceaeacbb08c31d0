package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/policy"
)

// place is a policy's home and the state beside it.
type place struct {
	dir string
	s   Source
	k   Keep // copied for each look, as if the agent had been started again
}

func aPlace(t *testing.T) place {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/etc", 0o755))
	must(t, os.MkdirAll(dir+"/state", 0o700))
	return place{dir, Source{dir + "/etc/policy.yaml", self()}, Keep{Path: dir + "/state/good.json", Owner: self()}}
}

// look is the first look of an agent that was just started.
func (p place) look() Verdict { return InForce(Site{Files: p.s}, &p.k, time.Now()) }

func (p place) put(t *testing.T, text string) { put(t, p.s.Path, text) }

// want checks one look.
func (p place) want(t *testing.T, what, from string, limit time.Duration, before time.Duration, err string) {
	t.Helper()
	v := p.look()
	if v.From != from || v.Loaded.Policy.Limit != limit {
		t.Errorf("%s: limit %s from %q, want %s from %q (%v)", what, v.Loaded.Policy.Limit, v.From, limit, from, v.Err)
	}
	if got := v.Before; (got == nil) != (before == 0) || got != nil && got.Limit != before {
		t.Errorf("%s: before %+v, want %s", what, got, before)
	}
	if (err == "") != (v.Err == nil) || err != "" && !strings.Contains(v.Err.Error(), err) {
		t.Errorf("%s: error %v, want %q", what, v.Err, err)
	}
}

const m = time.Minute

func TestInForce(t *testing.T) {
	p := aPlace(t)
	p.want(t, "nothing there", policy.BuiltIn, 15*m, 0, "")
	p.put(t, "limit: 0s")
	p.want(t, "wrong from the start", policy.BuiltIn, 15*m, 0, "out of bounds")
	p.put(t, "limit: 10m")
	p.want(t, "first", "files", 10*m, 0, "")
	p.want(t, "the same again", "files", 10*m, 10*m, "")
	p.put(t, "limit: 9m")
	p.want(t, "changed", "files", 9*m, 10*m, "")
	p.put(t, "limit: 24h\nfoo: 1")
	p.want(t, "wrong", "last good", 9*m, 9*m, "unknown key")
	p.put(t, "")
	p.want(t, "emptied", "files", 15*m, 9*m, "")
	p.put(t, "limit: 8m")
	p.want(t, "changed again", "files", 8*m, 15*m, "")
	must(t, os.Remove(p.s.Path))
	p.want(t, "deleted", "last good", 8*m, 8*m, "no such file")
	if v := p.look(); !errors.Is(v.Err, fs.ErrNotExist) {
		t.Errorf("deleted: %v is not fs.ErrNotExist", v.Err)
	}
	must(t, os.RemoveAll(p.dir+"/etc"))
	p.want(t, "directory deleted", "last good", 8*m, 8*m, "no such file")
	p.put(t, "limit: 7m")
	must(t, os.Chmod(p.s.Path, 0o666))
	p.want(t, "unsafe", "last good", 8*m, 8*m, "chmod go-w")
	must(t, os.Chmod(p.s.Path, 0o644))
	p.want(t, "safe again", "files", 7*m, 8*m, "")
}

func TestLastGoodDamaged(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"cut":    func(t *testing.T, p string) { must(t, os.Truncate(p, 20)) },
		"empty":  func(t *testing.T, p string) { must(t, os.Truncate(p, 0)) },
		"null":   func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("null"), 0o600)) },
		"none":   func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte(`{"documents":[]}`), 0o600)) },
		"number": func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("7"), 0o600)) },
		"wrong": func(t *testing.T, p string) {
			must(t, os.WriteFile(p, []byte(`{"documents":[{"name":"x","text":"bGltaXQ6IDBz"}]}`), 0o600))
		},
		"garbage": func(t *testing.T, p string) {
			must(t, os.WriteFile(p, []byte(strings.Repeat("\x00\xff", 9000)), 0o600))
		},
		"endless":   func(t *testing.T, p string) { must(t, os.Truncate(p, 1<<30)) },
		"writable":  func(t *testing.T, p string) { must(t, os.Chmod(p, 0o666)) },
		"link":      func(t *testing.T, p string) { must(t, os.Rename(p, p+".x")); must(t, os.Symlink(p+".x", p)) },
		"directory": func(t *testing.T, p string) { must(t, os.Remove(p)); must(t, os.Mkdir(p, 0o700)) },
	} {
		p := aPlace(t)
		p.put(t, "limit: 24h")
		p.want(t, name, "files", 24*time.Hour, 0, "")
		damage(t, p.k.Path)
		p.put(t, "limit: never")
		p.want(t, name+", files wrong", policy.BuiltIn, 15*m, 0, "not a duration")
		must(t, os.Remove(p.s.Path))
		p.want(t, name+", files gone", policy.BuiltIn, 15*m, 0, "no last good policy")
		p.put(t, "limit: 6m")
		if name == "directory" {
			p.want(t, name+", files right", "files", 6*m, 0, "keep policy")
			continue
		}
		p.want(t, name+", files right", "files", 6*m, 0, "")
		p.want(t, name+", kept again", "files", 6*m, 6*m, "")
	}
}

func TestKeepIsPrivateAndWhole(t *testing.T) {
	p := aPlace(t)
	old := unix.Umask(0)
	defer unix.Umask(old)
	must(t, os.WriteFile(p.k.Path+".new", []byte("left behind"), 0o666))
	g := &good{Documents: []policy.Document{{Name: "a", Text: []byte("limit: 10m")}, {Name: "b", Text: []byte("warning: 1m")}}, Signers: []byte("\x00\xff")}
	must(t, (&Keep{Path: p.k.Path}).save(g))
	st, err := os.Lstat(p.k.Path)
	must(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	if left, err := os.ReadDir(p.dir + "/state"); err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	if back, err := p.k.load(); err != nil || !back.same(g) {
		t.Errorf("kept %+v, want %+v: %v", back, g, err)
	}
	must(t, (&Keep{Path: p.k.Path}).save(&good{Documents: []policy.Document{{Name: "a", Text: []byte("limit: off")}}}))
	if _, err := (&Keep{Path: p.k.Path, Owner: self()}).Load(); err == nil {
		t.Error("a wrong policy that was kept is taken")
	}
	must(t, os.Remove(p.k.Path))
	must(t, os.Symlink(p.dir+"/elsewhere", p.k.Path+".new"))
	must(t, (&Keep{Path: p.k.Path}).save(g))
	if _, err := os.Lstat(p.dir + "/elsewhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("save wrote through a link: %v", err)
	}
	if err := (&Keep{Path: p.dir + "/gone/good.json"}).save(g); err == nil {
		t.Error("kept in a directory that is not there")
	}
}

// TestTheAgentRemembers: taking the kept file away while the agent runs takes nothing from it.
func TestTheAgentRemembers(t *testing.T) {
	p := aPlace(t)
	p.put(t, "version: 3\nlimit: 10m")
	p.look()
	k := p.k
	InForce(Site{Files: p.s}, &k, time.Now())
	must(t, os.Remove(p.k.Path))
	p.put(t, "version: 2\nlimit: 24h")
	if v := InForce(Site{Files: p.s}, &k, time.Now()); !errors.Is(v.Err, ErrOld) || v.Loaded.Policy.Limit != 10*m {
		t.Errorf("%+v", v)
	}
}

// TestOlderVersions are refused, whatever they say, and the same version again is not older.
func TestOlderVersions(t *testing.T) {
	p := aPlace(t)
	p.put(t, "version: 7\nlimit: 10m")
	p.want(t, "first", "files", 10*m, 0, "")
	for _, old := range []string{"version: 6\nlimit: 9m", "version: 0\nlimit: 9m", "limit: 9m", "# nothing"} {
		p.put(t, old)
		p.want(t, old, "last good", 10*m, 10*m, "has had version 7")
	}
	p.put(t, "version: 7\nlimit: 8m")
	p.want(t, "same version", "files", 8*m, 10*m, "")
	p.put(t, "version: 8\nlimit: 8m")
	p.want(t, "next version", "files", 8*m, 8*m, "")
	p.put(t, "version: 7\nlimit: 8m")
	p.want(t, "back", "last good", 8*m, 8*m, "has had version 8")
}

// TestUnchangedIsNotWrittenAgain: a policy that is looked at often costs no disk.
func TestUnchangedIsNotWrittenAgain(t *testing.T) {
	p := aPlace(t)
	p.put(t, "limit: 10m")
	p.want(t, "first", "files", 10*m, 0, "")
	first, err := os.Stat(p.k.Path)
	must(t, err)
	p.want(t, "again", "files", 10*m, 10*m, "")
	if again, err := os.Stat(p.k.Path); err != nil || !os.SameFile(first, again) {
		t.Errorf("written again: %v", err)
	}
}

func TestDropIns(t *testing.T) {
	p := aPlace(t)
	d := p.dir + "/etc/policy.d/"
	p.put(t, "limit: 10m\nwarning: 1m")
	put(t, d+"20.yaml", "limit: 8m")
	put(t, d+"10.yaml", "limit: 9m\naction: sign-out")
	put(t, d+"30.yaml.bak", "limit: 24h")
	put(t, d+".#40.yaml", "limit: 24h")
	put(t, d+"README", "no policy")
	l, err := Site{Files: p.s}.Load()
	docs, _ := p.s.Documents()
	if err != nil || l.Policy.Limit != 8*m || l.Policy.Action != policy.SignOut || l.Source["limit"] != d+"20.yaml" || len(docs) != 3 {
		t.Fatalf("%+v, %d documents, %v", l, len(docs), err)
	}
	p.want(t, "three files", "files", 8*m, 0, "")
	must(t, os.Remove(p.s.Path))
	p.want(t, "drop-ins alone", "files", 8*m, 8*m, "")
	p.put(t, "limit: 10m")
	for name, c := range map[string]struct {
		do, undo func() error
		says     string
	}{
		"unsafe file":       {func() error { return os.Chmod(d+"10.yaml", 0o666) }, func() error { return os.Chmod(d+"10.yaml", 0o644) }, "chmod go-w"},
		"unsafe directory":  {func() error { return os.Chmod(d, 0o777) }, func() error { return os.Chmod(d, 0o755) }, "chmod go-w"},
		"link":              {func() error { return os.Symlink("10.yaml", d+"50.yaml") }, func() error { return os.Remove(d + "50.yaml") }, "symbolic link"},
		"link to nothing":   {func() error { return os.Symlink("gone", d+"50.yaml") }, func() error { return os.Remove(d + "50.yaml") }, "symbolic link"},
		"directory":         {func() error { return os.Mkdir(d+"50.yaml", 0o755) }, func() error { return os.Remove(d + "50.yaml") }, "plain file"},
		"wrong":             {func() error { return os.WriteFile(d+"50.yaml", []byte("x: 1"), 0o644) }, func() error { return os.Remove(d + "50.yaml") }, "50.yaml:1:1"},
		"file as directory": {func() error { return swap(d, p.dir+"/file") }, func() error { return swap(d, p.dir+"/file") }, "not a directory"},
		"link as directory": {func() error { return swap(d, p.dir+"/link") }, func() error { return swap(d, p.dir+"/link") }, "not a directory"},
	} {
		os.WriteFile(p.dir+"/file", nil, 0o644)
		os.Symlink(p.dir, p.dir+"/link")
		must(t, c.do())
		p.want(t, name, "last good", 8*m, 8*m, c.says)
		must(t, c.undo())
	}
	p.want(t, "all well", "files", 8*m, 8*m, "")
}

// swap exchanges a directory and something else.
func swap(dir, other string) error {
	return unix.Renameat2(unix.AT_FDCWD, strings.TrimSuffix(dir, "/"), unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
}

// TestEmptiedDropInsOfAStranger: who may write policy.d could take the strict files out of it.
func TestEmptiedDropInsOfAStranger(t *testing.T) {
	p := aPlace(t)
	d := p.dir + "/etc/policy.d"
	p.put(t, "limit: 24h")
	put(t, d+"/10.yaml", "limit: 5m")
	p.want(t, "strict", "files", 5*m, 0, "")
	must(t, os.Chmod(d, 0o777))
	must(t, os.Remove(d+"/10.yaml"))
	p.want(t, "taken away", "last good", 5*m, 5*m, "chmod go-w")
}

func TestTooMuchPolicy(t *testing.T) {
	p := aPlace(t)
	d := p.dir + "/etc/policy.d/"
	p.put(t, "limit: 10m")
	p.want(t, "one file", "files", 10*m, 0, "")
	for i := range 5 {
		put(t, fmt.Sprintf("%s%d.yaml", d, i), strings.Repeat("#", policy.MaxFile))
	}
	p.want(t, "many bytes", "last good", 10*m, 10*m, "more than 1024 KiB")
	must(t, os.RemoveAll(d))
	for i := range maxFiles + 1 {
		put(t, fmt.Sprintf("%s%d.yaml", d, i), "")
	}
	p.want(t, "many files", "last good", 10*m, 10*m, "257 files, at most 256")
	must(t, os.Remove(d+"0.yaml"))
	p.want(t, "fewer", "files", 10*m, 10*m, "")
	must(t, os.RemoveAll(d))
	for i := range 3 {
		put(t, fmt.Sprintf("%s%d.yaml", d, i), strings.Repeat("#", policy.MaxFile))
	}
	p.want(t, "as much as is allowed", "files", 10*m, 10*m, "")
	p.want(t, "and kept", "files", 10*m, 10*m, "")
	must(t, os.RemoveAll(d))
	p.put(t, strings.Repeat("#", policy.MaxFile+1))
	p.want(t, "one too large", "last good", 10*m, 10*m, "larger than 256 KiB")
}
