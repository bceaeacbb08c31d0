package courier_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/link"
	"stepaway/spool"
	"stepaway/uplink"
)

// machine is a workstation: an identity, a spool and a courier that runs.
type machine struct {
	outbox *link.Outbox
	c      *courier.Courier
	stop   func() error
}

// turnOn starts a courier on the identity and the spool in state.
func (s *site) turnOn(state, run string) *machine {
	s.t.Helper()
	t := s.t.(*testing.T)
	id, err := courier.LoadIdentity(filepath.Join(state, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := courier.NewClient(id, courier.ClientOptions{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	sp, _, err := spool.Open(filepath.Join(state, "spool"), spool.Options{Device: id.Device, Bound: id.Bound()})
	if err != nil {
		t.Fatal(err)
	}
	e := startEnforcer(t, filepath.Join(t.TempDir(), "link.sock"), link.NewOutbox(run))
	c, stop := start(t, queue{sp}, courier.Options{Device: id.Device, Dial: e.dial, Peer: client})
	return &machine{e.outbox, c, func() error {
		err := stop()
		client.Close()
		e.stop()
		sp.Close()
		return err
	}}
}

// delivers adds n events and waits until the collector has all.
func (m *machine) delivers(t *testing.T, n int) {
	t.Helper()
	for range n {
		m.outbox.Add(newEvent(audit.LockProved))
	}
	eventually(t, "delivery", func() bool {
		s := m.c.Status()
		_, waiting, _ := m.outbox.Counts()
		return waiting == 0 && s.Head > 0 && s.Acked == s.Head // a fork begins to count anew
	})
}

// TestCopiedIdentity: somebody copies a workstation's identity, or its whole disk, and delivers as that workstation. The
// security officer sees it in the list of devices, the report, the events and the log, revokes the device, and enrolls it
// again; the copy stays out.
func TestCopiedIdentity(t *testing.T) {
	for name, what := range map[string]struct{ copied, code string }{"identity": {"identity", "epoch"}, "disk": {".", "fork"}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			mine, theirs := t.TempDir(), t.TempDir()
			enroll := func() {
				tok, err := uplink.ParseToken(s.tool("token", "ws-1", "--data", s.data))
				if err != nil {
					t.Fatal(err)
				}
				o := courier.EnrollOptions{Dir: filepath.Join(mine, "identity"), URL: "https://" + s.address}
				if _, err := courier.Enroll(context.Background(), o, tok); err != nil {
					t.Fatal(err)
				}
			}
			enroll()
			m := s.turnOn(mine, "00000001")
			m.delivers(t, 5)
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Join(theirs, what.copied), os.DirFS(filepath.Join(mine, what.copied))); err != nil {
				t.Fatal(err)
			}
			closeKeys(t, theirs)
			if strings.Contains(s.tool("report", "--data", s.data), "TWO PLACES") {
				t.Error("before anything happened")
			}
			m = s.turnOn(mine, "00000002")
			thief := s.turnOn(theirs, "00000003")
			m.delivers(t, 3)
			thief.delivers(t, 3)
			m.delivers(t, 3)
			for verb, want := range map[string]string{"devices": "SEEN IN TWO PLACES", "report": "SEEN IN TWO PLACES", "events": "identity.shared"} {
				if out := s.tool(verb, "--data", s.data); !strings.Contains(out, want) {
					t.Errorf("%s does not say so:\n%s", verb, out)
				}
			}
			found := false
			for line := range strings.Lines(s.tool("events", "--json", "--device", "collector/own", "--data", s.data)) {
				var e audit.Event
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err)
				}
				found = found || e.Type == audit.IdentityShared && e.Severity == audit.Alert && e.Facts.Key == "ws-1" && string(e.Facts.Code) == what.code
			}
			if !found {
				t.Errorf("no event of %s", what.code)
			}
			if log := s.log.String(); !strings.Contains(log, "one identity in two places") {
				t.Errorf("the log does not say so:\n%s", log)
			}
			var answer struct{ Certificates int }
			if err := json.Unmarshal([]byte(s.tool("revoke", "ws-1", "--json", "--data", s.data)), &answer); err != nil || answer.Certificates != 1 {
				t.Errorf("revoke: %+v, %v", answer, err)
			}
			for _, x := range []*machine{m, thief} {
				x.outbox.Add(newEvent(audit.LockProved))
				eventually(t, "revoked", func() bool { return x.c.Status().Code == "revoked" })
			}
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
			enroll()
			m = s.turnOn(mine, "00000004")
			m.delivers(t, 1)
			if got := thief.c.Status(); got.Code != "revoked" || got.Acked == got.Head {
				t.Errorf("the copy: %+v", got)
			}
			if out := s.tool("devices", "--data", s.data); strings.Contains(out, "REVOKED") || !strings.Contains(out, ", revoked") {
				t.Errorf("after enrolling again:\n%s", out)
			}
		})
	}
}

// closeKeys gives copied keys the mode that they had.
func closeKeys(t *testing.T, state string) {
	t.Helper()
	for _, name := range []string{"identity", "identity/device.pem", "spool"} {
		mode := os.FileMode(0o700)
		if strings.HasSuffix(name, ".pem") {
			mode = 0o600
		}
		if err := os.Chmod(filepath.Join(state, name), mode); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}
