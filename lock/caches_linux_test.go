package lock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"stepaway/policy"
	"stepaway/session"
)

// canary stands for a patient's name in the name of a file.
const canary = "canary-Maria-Example-1961"

// desk is a home directory whose caches are cleared, and what lies outside of it.
type desk struct {
	*testing.T
	who           account
	home, outside string
	said          bytes.Buffer
}

// newDesk makes both, of the user; run by root that is another one.
func newDesk(t *testing.T) *desk {
	d := &desk{T: t, who: account{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}}
	if os.Getuid() == 0 {
		d.who.uid, d.who.gid = 65534, 65534
	}
	dir := t.TempDir()
	d.home, d.outside = dir+"/home", dir+"/outside"
	d.who.home = d.home
	d.dir(d.home)
	d.file(d.outside + "/records/" + canary)
	d.file(d.outside + "/ehr/" + canary)
	return d
}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// dir makes a directory of the user, and those above it where they are missing.
func (d *desk) dir(path string) string {
	d.Helper()
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		d.dir(filepath.Dir(path))
		d.must(os.Mkdir(path, 0o755))
		d.own(path)
	}
	return path
}

func (d *desk) file(path string) string {
	d.Helper()
	d.dir(filepath.Dir(path))
	d.must(os.WriteFile(path, []byte("patient"), 0o644))
	d.own(path)
	return path
}

func (d *desk) link(to, path string) {
	d.Helper()
	d.dir(filepath.Dir(path))
	d.must(os.Symlink(to, path))
	d.own(path)
}

func (d *desk) own(path string) {
	d.Helper()
	d.must(os.Lchown(path, int(d.who.uid), int(d.who.gid)))
}

func (d *desk) sweep(caches ...string) swept {
	d.Helper()
	l := New(Options{Root: os.Getuid() == 0, Log: slog.New(slog.NewTextHandler(&d.said, nil))})
	c := &closing{Ladder: l, c: policy.Client{Name: "EHR", Caches: caches}}
	out, err := c.sweepHome(d.Context(), d.who)
	if err != nil {
		d.said.WriteString(err.Error())
		out.left = -1
	}
	return out
}

// want compares what came of it; nothing outside may have changed, nor a name have been said.
func (d *desk) want(what string, got, want swept) {
	d.Helper()
	if got != want {
		d.Errorf("%s: %+v, want %+v", what, got, want)
	}
	d.untouched()
	if strings.Contains(d.said.String(), "canary") {
		d.Errorf("%s: the name of a file is logged: %s", what, &d.said)
	}
}

func (d *desk) untouched() {
	d.Helper()
	for _, path := range []string{d.outside + "/records/" + canary, d.outside + "/ehr/" + canary} {
		if b, err := os.ReadFile(path); err != nil || string(b) != "patient" {
			d.Fatalf("outside: %v", err)
		}
	}
}

func (d *desk) empty(dir string) {
	d.Helper()
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		d.Errorf("%s: %v %v", dir, list, err)
	}
}

func TestCacheIsEmptied(t *testing.T) {
	d := newDesk(t)
	ehr := d.home + "/.cache/ehr"
	for i := range 3000 {
		d.file(fmt.Sprintf("%s/many/%d-%s", ehr, i, canary))
	}
	for _, name := range []string{"/.hidden", "/..x", "/a b\n\xff", "/deep/er/still/x"} {
		d.file(ehr + name)
	}
	d.must(unix.Mkfifo(ehr+"/fifo", 0o600))
	d.own(ehr + "/fifo")
	t.Chdir(ehr) // a socket's name is short
	ln, err := net.Listen("unix", "socket")
	d.must(err)
	defer ln.Close()
	d.own("socket")
	t.Chdir(d.home)
	for name, mode := range map[string]os.FileMode{"closed": 0, "unwritable": 0o500, "unreadable": 0o300} {
		d.file(ehr + "/" + name + "/x")
		d.must(os.Chmod(ehr+"/"+name, mode))
	}
	d.must(os.Chmod(ehr, 0o500))
	d.file(d.home + "/.cache/other/kept")
	// 3000 + many, 4 + deep er still, fifo and socket, 3 * 2
	d.want("all", d.sweep(".cache/ehr", "not/there"), swept{cleared: 3001 + 7 + 2 + 6})
	d.empty(ehr)
	d.want("again", d.sweep(".cache/ehr"), swept{})
	if _, err := os.Stat(d.home + "/.cache/other/kept"); err != nil {
		t.Error(err)
	}
}

func TestLinksInACacheAreDeletedAndNotFollowed(t *testing.T) {
	d := newDesk(t)
	ehr := d.dir(d.home + "/.cache/ehr")
	d.link(d.outside, ehr+"/dir")
	d.link(d.outside+"/records/"+canary, ehr+"/file")
	d.link("../../../outside/records", ehr+"/up")
	d.link("/nowhere", ehr+"/dangling")
	d.link(".", ehr+"/itself")
	d.must(os.Link(d.outside+"/records/"+canary, ehr+"/hard"))
	d.want("links", d.sweep(".cache/ehr"), swept{cleared: 6})
	d.empty(ehr)
}

func TestCacheThatIsReachedByALinkIsLeft(t *testing.T) {
	d := newDesk(t)
	d.link(d.outside, d.home+"/absolute")
	d.link("../outside", d.home+"/relative")
	d.link("real", d.home+"/within")
	d.file(d.home + "/real/ehr/x")
	d.file(d.home + "/file")
	d.link("/proc/self/root", d.home+"/proc")
	for _, cache := range []string{"absolute", "absolute/ehr", "relative", "relative/ehr", "within", "within/ehr", "file",
		"file/ehr", "proc" + d.outside, "..", "../outside", "../outside/ehr", "real/../../outside"} {
		if got := d.sweep(cache); got.cleared != 0 || got.left != 1 {
			t.Errorf("%s: %+v", cache, got)
		}
	}
	d.want("links", d.sweep("real"), swept{cleared: 2})
	d.must(os.Rename(d.home, d.home+"-real"))
	d.file(d.home + "-real/real/x")
	d.must(os.Symlink("home-real", d.home)) // the administrator's
	d.want("the home itself by a link", d.sweep("real"), swept{cleared: 1})
}

func TestEntriesOfOthersAreLeftAndCounted(t *testing.T) {
	if os.Getuid() != 0 {
		return // needs two users; TestCacheIsEmptied runs as one
	}
	d := newDesk(t)
	ehr := d.dir(d.home + "/.cache/ehr")
	roots := func(path string) { d.must(os.Chown(d.file(path), 0, 0)) }
	roots(ehr + "/" + canary)
	roots(ehr + "/sub/" + canary)
	d.file(ehr + "/sub/x")
	d.file(ehr + "/theirs/x") // the user's, in a directory of another's
	d.must(os.Chown(ehr+"/theirs", 1, 1))
	d.must(os.Chmod(ehr+"/theirs", 0o777))
	d.must(os.Symlink("/etc", ehr+"/link")) // root's link
	d.file(ehr + "/y")
	d.want("others'", d.sweep(".cache/ehr"), swept{cleared: 2, left: 4})
	for _, path := range []string{"/" + canary, "/sub/" + canary, "/theirs/x"} {
		if _, err := os.Stat(ehr + path); err != nil {
			t.Error(err)
		}
	}
	d.must(os.Chown(ehr, 1, 1))
	d.must(os.Chmod(ehr, 0o777))
	d.file(ehr + "/z")
	d.want("the cache is another's", d.sweep(".cache/ehr"), swept{left: 1})
	d.file(d.home + "/closed/ehr/x")
	d.must(os.Chown(d.home+"/closed", 0, 0))
	d.must(os.Chmod(d.home+"/closed", 0o700)) // the user does not come this way, and so nobody does
	d.want("a directory above is another's", d.sweep("closed/ehr"), swept{left: 1})
	d.must(os.Chown(d.home, 1, 1))
	d.want("the home is another's", d.sweep(".cache/ehr"), swept{left: -1})
}

func TestClearingIsBounded(t *testing.T) {
	d := newDesk(t)
	ehr := d.dir(d.home + "/ehr")
	deep := ehr
	for range maxDepth + 5 {
		deep += "/d"
	}
	d.file(deep + "/x")
	d.file(ehr + "/y")
	d.want("too deep", d.sweep("ehr"), swept{cleared: 1, left: 1})
	if _, err := os.Stat(deep + "/x"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.file(ehr + "/z")
	c := &closing{Ladder: New(Options{Root: os.Getuid() == 0}), c: policy.Client{Caches: []string{"ehr"}}}
	if out, err := c.sweepHome(ctx, d.who); err != nil || out.cleared != 0 || out.left == 0 {
		t.Errorf("after its end: %+v, %v", out, err)
	}
	s := sweeper{ctx: t.Context(), uid: d.who.uid, seen: maxEntries - 1}
	fd, err := openHome(d.who)
	d.must(err)
	defer unix.Close(fd)
	many := d.dir(d.home + "/many")
	for i := range 10 {
		d.file(fmt.Sprint(many, "/", i))
	}
	if err := s.cache(fd, "many"); err != nil || s.cleared != 1 || s.left == 0 {
		t.Errorf("after %d entries: %+v, %v", maxEntries, s, err)
	}
}

// TestSwapRace: the user exchanges directories of the cache for links to what is outside, while it is being cleared.
func TestSwapRace(t *testing.T) {
	for name, at := range map[string]struct{ dir, to string }{
		"a directory in the cache": {"/.cache/ehr/d", "/outside/records"},
		"the cache":                {"/.cache/ehr", "/outside/ehr"},
		"a directory above":        {"/.cache", "/outside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			dir, link := d.home+at.dir, d.home+"/link"
			d.dir(d.home + "/.cache/ehr/d")
			d.link(filepath.Dir(d.home)+at.to, link)
			var done atomic.Bool
			var swaps int
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for !done.Load() {
					if unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE) == nil {
						swaps++
					} else if _, err := os.Lstat(link); err != nil { // it was deleted when it was the link
						_ = os.Symlink(filepath.Dir(d.home)+at.to, link)
					} else { // or the directory was
						_ = os.MkdirAll(dir, 0o755)
						_ = os.WriteFile(dir+"/x", nil, 0o644)
						_ = filepath.WalkDir(d.home, func(path string, _ fs.DirEntry, _ error) error {
							return os.Lchown(path, int(d.who.uid), int(d.who.gid))
						})
					}
				}
			}()
			cleared := 0
			for i := 0; i < 5000 && !t.Failed(); i++ {
				cleared += d.sweep(".cache/ehr").cleared
				d.untouched()
			}
			done.Store(true)
			<-ended
			t.Logf("%d swaps, %d entries deleted", swaps, cleared)
			if swaps == 0 {
				t.Error("nothing was swapped")
			}
		})
	}
}

func TestAsUserHasNoMoreThanTheUser(t *testing.T) {
	if os.Getuid() != 0 {
		return // only root can become another
	}
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Getgroups()
	for range 20 {
		err := asUser(account{uid: 65534, gid: 65534}, func() {
			if _, err := os.ReadFile(secret); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("root's file: %v", err)
			}
			if err := os.Remove(secret); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("root's file: %v", err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadFile(secret); err != nil {
			t.Fatalf("afterwards: %v", err)
		}
	}
	if after, _ := os.Getgroups(); len(after) != len(before) {
		t.Errorf("groups %v, before %v", after, before)
	}
}

func TestAccounts(t *testing.T) {
	for _, r := range []struct {
		passwd string
		want   account
		ok     bool
	}{
		{"root:x:0:0:root:/root:/bin/sh\nnurse:x:1000:100:N,,,:/home/nurse:/bin/sh\n", account{1000, 100, "/home/nurse"}, true},
		{"nurse:x:1000:100::/home/nurse/:/bin/sh", account{1000, 100, "/home/nurse"}, true},
		{"a:x:1000:1::/a:\nb:x:1000:1::/b:\n", account{1000, 1, "/a"}, true},
		{"a:x:11000:1::/a:\n", account{}, false},
		{"a:x:1000:1::home:\n", account{}, false},
		{"a:x:1000:1:::\n", account{}, false},
		{"a:x:1000:x::/a:\n", account{}, false},
		{"a:x:1000\n", account{}, false},
		{"", account{}, false},
	} {
		got, ok := parseAccount([]byte(r.passwd), 1000)
		if ok != r.ok || ok && got != r.want {
			t.Errorf("%q: %+v %v", r.passwd, got, ok)
		}
	}
	t.Setenv("HOME", "/believe/me")
	if a, err := accountOf(t.Context(), uint32(os.Getuid())); err != nil || a.home == "/believe/me" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := accountOf(t.Context(), 4_000_000_000); err == nil {
		t.Errorf("nobody's account: %+v", a)
	}
}

// TestCachesOfAClientThatWasClosed: by a whole closing, also of one that the user closed himself, and of a user whom only
// the directory knows.
func TestCachesOfAClientThatWasClosed(t *testing.T) {
	inContainer(t, func(b *bench) {
		client := b.install("client")
		s := b.desktop(sleeper(client))
		b.waitCount(nurse, client, 1)
		c := policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.End, Caches: []string{".cache/ehr"}}
		fill := func() {
			b.c.As("nurse", "", "sh", "-c", "mkdir -p /home/nurse/.cache/ehr/sub && touch /home/nurse/.cache/ehr/sub/"+canary)
		}
		fill()
		b.closeClients(s, 0, "x:cache-cleared:2 x:ended:1", c)
		fill()
		b.closeClients(s, 0, "x:cache-cleared:2", c)
		b.closeClients(s, 0, "", c)

		fill()
		left := c
		left.AtDeadline = policy.Leave
		b.closeClients(s, 0, "", left)
		b.c.Session("nurse", "#!/bin/bash\n"+sleeper(client)+"\nexec sleep infinity\n", "-E", "XDG_SESSION_TYPE=tty")
		b.waitCount(nurse, client, 1)
		b.closeClients(s, 0, "", c) // it runs in another session

		b.c.Must("rm", "-r", "/home/nurse/.cache/ehr/sub")
		for _, dir := range []string{"bound", "other"} {
			b.c.As("nurse", "", "sh", "-c", "mkdir -p /home/nurse/.cache/ehr/"+dir+" /home/nurse/kept && touch /home/nurse/kept/x /home/nurse/.cache/ehr/x")
		}
		b.c.As("nurse", "", "touch", "/home/nurse/.cache/ehr/file")
		b.c.Must("mount", "--bind", "/home/nurse/kept", "/home/nurse/.cache/ehr/bound")
		b.c.Must("mount", "--bind", "/home/nurse/kept/x", "/home/nurse/.cache/ehr/file")
		b.c.Must("mount", "-t", "tmpfs", "-o", "uid=1000", "tmpfs", "/home/nurse/.cache/ehr/other")
		b.c.As("nurse", "", "touch", "/home/nurse/.cache/ehr/other/y")
		none := c
		none.Paths = []string{"/opt/never"}
		b.closeClients(s, 0, "x:cache-cleared:1 x:cache:3", none)
		b.c.Must("ls", "/home/nurse/kept/x", "/home/nurse/.cache/ehr/other/y")
		none.Caches = []string{".cache/ehr/bound"}
		b.closeClients(s, 0, "x:cache:1", none)
		b.c.Must("ls", "/home/nurse/kept/x")

		b.c.Write("/usr/bin/getent", "#!/bin/sh\n[ \"$*\" = 'passwd 4242' ] && echo remote:x:4242:4242::/srv/homes/remote:/bin/sh\n", 0o755)
		b.c.Must("sh", "-c", "mkdir -p /srv/homes/remote/.cache/ehr && touch /srv/homes/remote/.cache/ehr/x && chown -R 4242:4242 /srv/homes/remote && chmod 700 /srv/homes/remote")
		none.Caches = c.Caches
		b.closeClients(session.Session{ID: "r", UID: 4242, Kind: session.TTY}, 0, "x:cache-cleared:1", none)
		b.closeClients(session.Session{ID: "q", UID: 4243, Kind: session.TTY}, 0, "x:cache:1", none)
	})
}

func TestPatternsMatchExecutablesAndNothingElse(t *testing.T) {
	inContainer(t, func(b *bench) {
		one, other := b.install("client-2.1"), b.install("client")
		b.c.Must("ln", "-s", other, ehr+"client-2.2")
		b.c.Must("install", "-D", self, ehr+"deep/client-3.0")
		s := b.desktop(sleeper(one), sleeper(other), sleeper(ehr+"client-2.2"), sleeper(ehr+"deep/client-3.0"),
			"(LOCK_TEST_ROLE=sleep exec -a "+one+" "+self+") &")
		b.waitCount(nurse, one, 1)
		b.waitCount(nurse, other, 2)
		b.waitCount(nurse, self, 1)
		b.waitCount(nurse, ehr+"deep/client-3.0", 1)
		end := func(path string) policy.Client {
			return policy.Client{Name: "x", Paths: []string{path}, AtDeadline: policy.End}
		}
		b.closeClients(s, 0, "", end("/*/client-2.1"), end(ehr+"[c]lient*"), end(ehr+"*/client"), end("client-*"))
		b.closeClients(s, 0, "x:ended:1", end("/opt/*/bin/client-?.*"))
		b.waitCount(nurse, other, 2) // by a link of that name: the executable has another
		b.waitCount(nurse, self, 1)  // by its first argument
		b.waitCount(nurse, ehr+"deep/client-3.0", 1)
		b.closeClients(s, 0, "x:ended:2", end(ehr+"client-2.2"))
	})
}
