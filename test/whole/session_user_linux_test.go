package whole

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"stepaway/audit"
	"stepaway/test/desktop"
	"stepaway/test/rig"
)

// Without root, as an ordinary user runs it: the desktop is warned and locked, and all four programs do their part.
func TestSessionWithoutRoot(t *testing.T) {
	s := open(t, bare)
	const nobody = 65534
	rig.Tool(t, "xhost")
	if err := s.desk.Run("xhost", "+si:localuser:nobody"); err != nil {
		t.Fatal(err)
	}
	s.write()
	give := []string{s.path("policy.yaml"), s.path("home"), s.path("run")}
	if err := os.Chmod(s.dir, 0o755); err != nil { // root's, as the collector wants it
		t.Fatal(err)
	}
	if err := filepath.WalkDir(s.path("state"), func(path string, _ os.DirEntry, err error) error {
		give = append(give, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, path := range give {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.desk.Command(filepath.Join(s.bin, "stepaway-agent"), "run", "--session", "--policy", s.path("policy.yaml"), "--state", s.path("state"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	p, err := desktop.Launch(s.dir, "agent-of-nobody", cmd)
	if err != nil {
		t.Fatal(err)
	}
	s.agent = p
	s.await(audit.WarningShown, 1)
	s.shows("banner", bannerBox, ink, 50_000)
	s.locksOnTime()
	s.shows("locked", screen, locked, 900_000)
	for _, e := range s.events() {
		if e.Session != nil && (e.Session.UID != nobody || e.Session.Kind != "x11") {
			t.Errorf("%s is of session %+v", e.Type, e.Session)
		}
	}
	s.whole()
}
