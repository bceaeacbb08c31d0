package spool

import (
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	fewKills    = 80
	compactSoon = 24 << 10 // there a file is never smaller than 32 KiB, and doubles
)

// asChild is this test's program as a child.
func asChild(t testing.TB, verb, path string) *exec.Cmd { return exec.Command(self(t), verb, path) }

func inChild(t testing.TB) func(string) (Found, error) { return InChild(self(t), asCheck) }

// checkModes has nothing to look at: the directory's permissions hold for what is in it.
func checkModes(*testing.T, string) {}

func TestFileThatIsNoSpoolIsSetAside(t *testing.T) {
	for name, body := range map[string][]byte{"garbage": []byte("not a spool"), "zeros": make([]byte, 1<<20)} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, fileName), body, 0o600)
		s, r := open(t, dir, Options{Check: inChild(t)})
		if r.Code != "damaged" || len(asides(t, dir)) != 1 {
			t.Errorf("%s: %+v, aside: %v", name, r, asides(t, dir))
		}
		mustAppend(t, s, events("a", 7, 7)...)
		wantWords(t, s, "spool.quarantined ref= 0-0 count=0 damaged", "lock.proved a/7")
	}
}

// TestInUse: a second courier is turned away, and status sees the first.
func TestInUse(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{})
	if !InUse(dir) {
		t.Error("nobody has it open")
	}
	if _, _, err := Open(dir, Options{}); err == nil {
		t.Error("opened twice")
	} else {
		wantErr(t, err, ErrBusy)
	}
	closeSpool(t, s)
	if InUse(dir) {
		t.Error("it is still open")
	}
}
