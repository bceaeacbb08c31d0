package lock

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lxn/win"
	"golang.org/x/sys/windows"

	"stepaway/policy"
)

const long = 2 * time.Minute // for what takes a moment on a machine with nothing else to do

// closeAll closes one client and returns what was reported of it.
func closeAll(t *testing.T, o Options, c policy.Client) (steps []ClientStep, left int) {
	t.Helper()
	if o.Desk == nil {
		o.Desk = &desk{}
	}
	c.Name = "Example EHR"
	left = New(o).CloseClients(t.Context(), here(t), []policy.Client{c}, func(st ClientStep) { steps = append(steps, st) })
	return steps, left
}

func codes(steps []ClientStep) string {
	var out []string
	for _, st := range steps {
		out = append(out, string(st.Code))
	}
	return strings.Join(out, " ")
}

func TestClientIsAskedAndCloses(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "client.exe"))
	first, second := run(t, path, polite), run(t, path, polite)
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.Close, Grace: long})
	if codes(steps) != "close closed" || steps[1].Count != 2 || left != 0 || alive(t, first) || alive(t, second) {
		t.Errorf("%v, %d left", steps, left)
	}
}

// TestClientThatAsksWhetherToSave: its user comes, answers within the grace, and nothing is lost.
func TestClientThatAsksWhetherToSave(t *testing.T) {
	dir := t.TempDir()
	path, file := install(t, filepath.Join(dir, "client.exe")), filepath.Join(dir, "work")
	cmd := run(t, path, asking, file)
	go answer(cmd.Process.Pid, win.IDYES)
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.Close, Grace: long})
	if b, err := os.ReadFile(file); codes(steps) != "close closed" || left != 0 || string(b) != "saved" {
		t.Errorf("%v, %d left; %q, %v", steps, left, b, err)
	}
}

// TestClientThatNobodyAnswers is ended when its grace is over, with its question still there.
func TestClientThatNobodyAnswers(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "client.exe"))
	for _, mode := range []string{asking, deaf, hidden} {
		cmd := run(t, path, mode, filepath.Join(t.TempDir(), "work"))
		steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.Close, Grace: 2 * time.Second})
		if codes(steps) != "close ended" || left != 0 || alive(t, cmd) {
			t.Errorf("%s: %v, %d left", mode, steps, left)
		}
	}
}

func TestClientIsEndedAtOnce(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "client.exe"))
	cmd := run(t, path, polite)
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.End, Grace: long})
	if codes(steps) != "ended" || left != 0 || alive(t, cmd) {
		t.Errorf("%v, %d left", steps, left)
	}
}

func TestClientThatComesBackIsEndedAgain(t *testing.T) {
	dir := t.TempDir()
	path := install(t, filepath.Join(dir, "client.exe"))
	starter := run(t, install(t, filepath.Join(dir, "starter.exe")), restarts, path, "xx")
	for len(processesAt(t, path)) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.End})
	if codes(steps) != "ended ended" || left != 0 {
		t.Errorf("%v, %d left", steps, left)
	}
	_ = starter.Wait()
}

// TestOthersAreLeftAlone: another path, another account, another session.
func TestOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := install(t, filepath.Join(dir, "ehr", "client.exe"))
	other := run(t, install(t, filepath.Join(dir, "other", "client.exe")), polite)
	longer := run(t, install(t, filepath.Join(dir, "ehr", "client.exe.exe")), polite)
	c := policy.Client{Paths: []string{path}, AtDeadline: policy.End}
	if steps, left := closeAll(t, Options{}, c); len(steps) != 0 || left != 0 || !alive(t, other) || !alive(t, longer) {
		t.Errorf("%v, %d left", steps, left)
	}
	c.Paths = []string{filepath.Join(dir, "oth?r", "*.exe")}
	s := here(t)
	for _, wrong := range []string{"S-1-5-21-1-2-3-1001", ""} {
		s.SID = wrong
		if left := New(Options{Desk: &desk{}}).CloseClients(t.Context(), s, []policy.Client{c}, nil); left != 0 || !alive(t, other) {
			t.Errorf("a client of %q's is ended", wrong)
		}
	}
	s = here(t)
	for _, wrong := range []string{"7", "", "x"} {
		s.ID = wrong
		if left := New(Options{Desk: &desk{}}).CloseClients(t.Context(), s, []policy.Client{c}, nil); left != 0 || !alive(t, other) {
			t.Errorf("a client of session %q is ended", wrong)
		}
	}
	if steps, left := closeAll(t, Options{}, c); codes(steps) != "ended" || left != 0 || alive(t, other) || !alive(t, longer) {
		t.Errorf("by wildcard: %v, %d left", steps, left)
	}
}

// TestSpellings: a client is known by the file, however policy or the user spells the way to it.
func TestSpellings(t *testing.T) {
	path := install(t, `C:\Program Files\Example Health\EHR client.exe`)
	link(t, `Program Files/Example Health`, `drive_c/junction`)
	link(t, `../drive_c/Program Files/Example Health`, `dosdevices/s:`)
	plain := []string{path, `C:\PROGRAM FILES\example health\ehr CLIENT.exe`, short(t, path)}
	all := append(slices.Clone(plain), `C:\junction\EHR client.exe`, `S:\EHR client.exe`)
	for _, named := range append(all, `C:\junction\*.exe`, `S:\*client.exe`) {
		for _, spelt := range all {
			closeSpelt(t, named, spelt)
		}
	}
	// Windows itself resolves the links in a program's path. Wine does not, and here policy has none to resolve.
	for _, spelt := range plain {
		closeSpelt(t, `C:\Program Files\*\EHR client.exe`, spelt)
	}
}

// closeSpelt closes a client that policy names in one way and its user starts in another.
func closeSpelt(t *testing.T, named, spelt string) {
	t.Helper()
	cmd := run(t, spelt, hidden)
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{named}, AtDeadline: policy.End})
	if codes(steps) != "ended" || left != 0 || alive(t, cmd) {
		t.Errorf("policy names %s, %s runs: %v, %d left", named, spelt, steps, left)
	}
}

// TestReplacedClient: an update has moved the executable away, or deleted it, and put another there.
func TestReplacedClient(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "client.exe"))
	cmd := run(t, path, hidden)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	install(t, path)
	if steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.End}); codes(steps) != "ended" || left != 0 || alive(t, cmd) {
		t.Errorf("%v, %d left", steps, left)
	}
}

func TestClosingEndsWithItsContext(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "client.exe"))
	cmd := run(t, path, deaf)
	ctx, cancel := context.WithCancel(t.Context())
	asked := func(st ClientStep) {
		if st.Code == ClientAsked {
			cancel()
		}
	}
	c := policy.Client{Name: "c", Paths: []string{path}, AtDeadline: policy.Close, Grace: long}
	if left := New(Options{Desk: &desk{}}).CloseClients(ctx, here(t), []policy.Client{c}, asked); left != 1 || !alive(t, cmd) {
		t.Errorf("%d left", left)
	}
}

// TestBusyFileOfAUser puts nothing off. One of an administrator's cannot be made here: Wine knows no owners of files.
func TestBusyFileOfAUser(t *testing.T) {
	dir := t.TempDir()
	path, busy := install(t, filepath.Join(dir, "client.exe")), filepath.Join(dir, "busy")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, path, hidden)
	steps, left := closeAll(t, Options{}, policy.Client{Paths: []string{path}, AtDeadline: policy.End, BusyFile: busy, BusyMost: long})
	if codes(steps) != "busy-untrusted ended" || steps[1].Busy || left != 0 {
		t.Errorf("%v, %d left", steps, left)
	}
}

func TestClipboard(t *testing.T) {
	d := &desk{}
	c := policy.Client{Paths: []string{`C:\no\client.exe`}, AtDeadline: policy.Close, ClearClipboard: true}
	if steps, _ := closeAll(t, Options{Desk: d}, c); codes(steps) != "clipboard-cleared" || d.emptied != 1 {
		t.Error(steps)
	}
	d.err = windows.ERROR_ACCESS_DENIED
	if steps, _ := closeAll(t, Options{Desk: d}, c); codes(steps) != "clipboard" {
		t.Error(steps)
	}
	steps := []ClientStep{}
	c.Name = "c"
	New(Options{}).CloseClients(t.Context(), here(t), []policy.Client{c}, func(st ClientStep) { steps = append(steps, st) })
	if codes(steps) != "clipboard" {
		t.Errorf("with nobody in the session: %v", steps)
	}
}

// processesAt lists the processes with an executable at a path.
func processesAt(t *testing.T, path string) (found []uint32) {
	t.Helper()
	for _, pid := range pids() {
		if p, err := hold(pid); err == nil {
			if at, err := p.image(0); err == nil && strings.EqualFold(at, path) && !p.Ended() {
				found = append(found, pid)
			}
			p.Close()
		}
	}
	slices.Sort(found)
	return found
}

// short is a path with the names that programs of DOS would see.
func short(t *testing.T, path string) string {
	t.Helper()
	var b [windows.MAX_PATH]uint16
	n, err := windows.GetShortPathName(windows.StringToUTF16Ptr(path), &b[0], uint32(len(b)))
	got := windows.UTF16ToString(b[:n])
	if err != nil || !strings.Contains(got, "~") {
		t.Fatalf("no short name of %s: %q, %v", path, got, err)
	}
	return got
}

// link makes a link in the files of this Windows, as from outside: to a directory, or for a drive. Wine has neither subst nor
// junctions of its own that work.
func link(t *testing.T, to, at string) {
	t.Helper()
	at = os.Getenv("WINEPREFIX") + "/" + at
	outside(t, "/bin/ln", "-sfn", to, at)
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(`\\?\unix` + at); err == nil {
			return
		}
	}
	t.Fatalf("no link %s", at)
}

// outside runs a program of the system that Wine runs on. It does not say when that has ended.
func outside(t *testing.T, program string, args ...string) {
	t.Helper()
	p, err := os.StartProcess(`\\?\unix`+program, append([]string{program}, args...), &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Release()
}
