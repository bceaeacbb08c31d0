package inventory

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stepaway/audit"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, os.Chmod(path, 0o644))
}

// aPlace is an installation of real files.
func aPlace(t *testing.T) (dir string, p Place) {
	dir = t.TempDir()
	for _, name := range []string{"bin/stepaway-agent", "bin/stepaway-tray", "lib/stepaway.service", "xdg/tray.desktop"} {
		put(t, filepath.Join(dir, name), name)
	}
	must(t, os.MkdirAll(dir+"/etc", 0o755))
	return dir, Place{Programs: []string{dir + "/bin/stepaway-agent", dir + "/bin/stepaway-tray"},
		Units: []string{"stepaway.service", "stepaway-courier.service"}, UnitDirs: map[string]string{"etc": dir + "/etc", "lib": dir + "/lib"},
		Files: map[string]string{"autostart": dir + "/xdg/tray.desktop"}, Bytes: 1 << 20, PerFolder: 3}
}

func TestEveryChangeOfAFileIsADifference(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(t *testing.T, dir string)
		want []string // names and what they are now, hashes shortened
	}{
		{"nothing", func(*testing.T, string) {}, nil},
		{"touched", func(t *testing.T, dir string) { put(t, dir+"/bin/stepaway-tray", "bin/stepaway-tray") }, nil},
		{"program", func(t *testing.T, dir string) { put(t, dir+"/bin/stepaway-tray", "x") }, []string{"stepaway-tray 2d711642b726"}},
		{"program gone", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/bin/stepaway-tray")) }, []string{"stepaway-tray gone"}},
		{"others may write", func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin/stepaway-agent", 0o775)) }, []string{"stepaway-agent mode 0775"}},
		{"setuid", func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/bin/stepaway-agent", 0o644|os.ModeSetuid)) }, []string{"stepaway-agent mode 4644"}},
		{"another's", func(t *testing.T, dir string) { must(t, os.Chown(dir+"/bin/stepaway-agent", 1, 2)) }, []string{"stepaway-agent owner 1:2"}},
		{"drop-in", func(t *testing.T, dir string) { put(t, dir+"/etc/stepaway.service.d/a.conf", "x") }, []string{"etc:stepaway.service.d/a.conf 2d711642b726"}},
		{"drop-in of both", func(t *testing.T, dir string) { put(t, dir+"/etc/stepaway-.service.d/a.conf", "x") }, []string{"etc:stepaway-.service.d/a.conf 2d711642b726"}},
		{"drop-in of all", func(t *testing.T, dir string) { put(t, dir+"/lib/service.d/a.conf", "x") }, []string{"lib:service.d/a.conf 2d711642b726"}},
		{"another's drop-in", func(t *testing.T, dir string) { put(t, dir+"/lib/other.service.d/a.conf", "x") }, nil},
		{"unit over unit", func(t *testing.T, dir string) { put(t, dir+"/etc/stepaway.service", "x") }, []string{"etc:stepaway.service 2d711642b726"}},
		{"unit", func(t *testing.T, dir string) { put(t, dir+"/lib/stepaway.service", "x") }, []string{"lib:stepaway.service 2d711642b726"}},
		{"masked", func(t *testing.T, dir string) { must(t, os.Symlink("/dev/null", dir+"/etc/stepaway.service")) }, []string{"etc:stepaway.service special"}},
		{"link to the same", func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/bin/stepaway-tray", dir+"/tray"))
			must(t, os.Symlink("../tray", dir+"/bin/stepaway-tray"))
		}, []string{"stepaway-tray link " + hash([]byte("../tray"))[:12]}},
		{"link to nothing", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/bin/stepaway-tray"))
			must(t, os.Symlink("gone", dir+"/bin/stepaway-tray"))
		}, []string{"stepaway-tray unreadable", "stepaway-tray link " + hash([]byte("gone"))[:12], "stepaway-tray mode gone", "stepaway-tray owner gone"}},
		{"pipe", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/xdg/tray.desktop"))
			must(t, unix.Mkfifo(dir+"/xdg/tray.desktop", 0o644))
		}, []string{"autostart special"}},
		{"endless", func(t *testing.T, dir string) { must(t, os.Truncate(dir+"/xdg/tray.desktop", 1<<40)) }, []string{"autostart too-long"}},
		{"many drop-ins", func(t *testing.T, dir string) {
			for _, n := range []string{"1", "2", "3", "4", "5"} {
				put(t, dir+"/etc/service.d/"+n+".conf", "x")
			}
		}, []string{"etc:service.d more 2", "etc:service.d/1.conf 2d711642b726", "etc:service.d/2.conf 2d711642b726", "etc:service.d/3.conf 2d711642b726"}},
		{"long and foreign names", func(t *testing.T, dir string) {
			put(t, dir+"/etc/stepaway.service.d/"+strings.Repeat("a", 90)+".conf", "x")
			put(t, dir+"/etc/stepaway.service.d/\u202e=.conf", "x")
		}, []string{"etc:stepaway.service.d/??.conf:" + hash([]byte("etc:stepaway.service.d/\u202e=.conf"))[:12] + " 2d711642b726",
			"etc:stepaway.service.d/" + strings.Repeat("a", 22) + ":" + hash([]byte("etc:stepaway.service.d/" + strings.Repeat("a", 90) + ".conf"))[:12] + " 2d711642b726"}},
	} {
		if c.what == "another's" && os.Getuid() != 0 {
			continue
		}
		dir, p := aPlace(t)
		before := p.Take(t.Context(), "1.0", "aa")
		c.do(t, dir)
		var got []string
		for _, d := range Compare(before, p.Take(t.Context(), "1.0", "bb")) {
			name := d.Name
			if audit.MakeLabel(name) != audit.Label(name) || d.Old == d.New {
				t.Errorf("%s: %+v", c.what, d)
			}
			got = append(got, name+" "+string(told(d.New)))
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestAStateIsNamedByAllThatItHolds(t *testing.T) {
	dir, p := aPlace(t)
	a := p.Take(t.Context(), "1.0", "aa")
	if b := p.Take(t.Context(), "1.0", "aa"); !reflect.DeepEqual(a, b) || a.Hash() != b.Hash() || len(a.Hash()) != 64 {
		t.Error("the same twice differs")
	}
	hashes := []string{a.Hash(), p.Take(t.Context(), "1.1", "aa").Hash(), p.Take(t.Context(), "1.0", "bb").Hash()}
	must(t, os.Chmod(dir+"/bin/stepaway-tray", 0o755))
	hashes = append(hashes, p.Take(t.Context(), "1.0", "aa").Hash())
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) != 4 {
		t.Errorf("%q", hashes)
	}
	if a.Items[Policy] != "aa" || !slices.Equal(a.Names()[:2], []string{"autostart", "autostart mode"}) {
		t.Errorf("%q", a.Names())
	}
	if want := map[string]bool{"stepaway-agent": true, "lib:stepaway.service mode": true, "stepaway-tray owner": true}; !contains(a, want) {
		t.Errorf("%v", a.Items)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if s := p.Take(ended, "1.0", ""); s.Items["stepaway-tray"] != unreadable || s.Items[Policy] != empty {
		t.Errorf("without time: %v", s.Items)
	}
}

func contains(s State, names map[string]bool) bool {
	for name := range names {
		if s.Items[name] == "" {
			return false
		}
	}
	return true
}

func TestAManagerThatDoesNotAnswer(t *testing.T) {
	_, p := aPlace(t)
	p.Manager = t.TempDir() + "/nobody"
	s := p.Take(t.Context(), "1.0", "aa")
	if s.Items[Managed] != unreadable {
		t.Errorf("%v", s.Items)
	}
	answered := State{"1.0", map[string]string{Managed: "answers", "stepaway.service Restart": "always"}}
	silent := State{"1.0", map[string]string{Managed: unreadable}}
	if got := Compare(answered, silent); len(got) != 1 || got[0] != (Difference{Managed, "answers", unreadable}) {
		t.Errorf("%v", got)
	}
	if got := Compare(silent, answered); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestSettingsAsWords(t *testing.T) {
	const exec = "{ path=/usr/bin/x ; argv[]=/usr/bin/x run ; ignore_errors=no ; start_time=[Sun 2026-01-01] ; stop_time=[n/a] ; pid=7 ; code=(null) ; status=0/0 }"
	got, err := parseSettings("LoadState=loaded\nRestart=always\nUser=\nCPUWeight=[not set]\nEnvironment=A=1 B=2\nExecStart=" + exec +
		"\nExecStopPost=" + strings.Replace(exec, "argv[]=/usr/bin/x", "argv[]=y", 1) + "\nExecStopPost=" + strings.Replace(exec, "errors=no", "errors=yes", 1) + "\n")
	want := map[string]string{"LoadState": "loaded", "Restart": "always", "User": "", "CPUWeight": "not-set", "Environment": "A=1 B=2",
		"ExecStart": "/usr/bin/x run", "ExecStopPost": "/usr/bin/x as y run; /usr/bin/x run ignored yes"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "Restart=always\n", "LoadState=loaded\nnonsense\n", "LoadState=loaded\nOther=1\n"} {
		if _, err := parseSettings(bad); err == nil {
			t.Errorf("%q taken", bad)
		}
	}
	for value, want := range map[string]string{"infinity": "0", "0": "0", "15s": "set", "1min": "set"} {
		if got := plain("WatchdogUSec", value); got != want {
			t.Errorf("a watchdog of %s is %q", value, got)
		}
	}
	long := strings.Repeat("x", 65)
	for value, want := range map[string]string{"": "none", "always": "always", hash([]byte("x")): hash([]byte("x")), "-900": hash([]byte("-900")), "A=1": hash([]byte("A=1")), long: hash([]byte(long))} {
		if word(value) != want {
			t.Errorf("%q as %q", value, word(value))
		}
	}
	if told(hash([]byte("x"))) != "2d711642b726" || told("0755") != "0755" || told("/usr/bin/x run") != "/usr/bin/x run" {
		t.Error("as told")
	}
}
