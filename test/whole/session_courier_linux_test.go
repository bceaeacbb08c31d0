package whole

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/desktop"
	"stepaway/test/rig"
)

// certify gives the workstation a certificate of the test's own making: signed by the collector's CA or by none, until
// when it is said.
func (s *site) certify(byCollector bool, until time.Time) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: device}, NotBefore: until.Add(-720 * time.Hour),
		NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	ca, signer := leaf, any(key)
	if byCollector {
		if ca, err = x509.ParseCertificate(block(s.t, s.path("collector/ca.crt"))); err != nil {
			s.t.Fatal(err)
		}
		if signer, err = x509.ParsePKCS8PrivateKey(block(s.t, s.path("collector/ca.key"))); err != nil {
			s.t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), signer)
	if err != nil {
		s.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.identity("device.pem", append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...))
}

func block(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	if b == nil {
		t.Fatalf("%s is not PEM", path)
	}
	return b.Bytes
}

// identity replaces one file of the workstation's enrolment.
func (s *site) identity(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.path("state/identity/"+name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// clinic is a site without a desktop: a collector and an enrolled workstation.
func clinic(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, bin: programs(t), end: deskLimit, desk: &desktop.Desktop{}}
	s.makeDir()
	t.Cleanup(s.close)
	s.serve()
	s.enroll()
	return s
}

// Certificates that the collector does not take, and none at all: the courier says so, in one line, and keeps events.
func TestCourierWithABadCertificate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(s *site)
		want string // in its log
	}{
		{"ended a minute ago", func(s *site) { s.certify(true, time.Now().Add(-time.Minute)) }, "certificate renewed"},
		{"of another CA", func(s *site) { s.certify(false, time.Now().Add(time.Hour)) }, "code=tls"},
		{"missing", func(s *site) {
			if err := os.Remove(s.path("state/identity/device.pem")); err != nil {
				s.t.Fatal(err)
			}
		}, "enroll this device again"},
		{"not a certificate", func(s *site) { s.identity("device.pem", []byte("-----BEGIN NONSENSE-----\n")) }, "enroll this device again"},
		{"of another key", func(s *site) {
			kept, err := os.ReadFile(s.path("state/identity/device.pem"))
			if err != nil {
				s.t.Fatal(err)
			}
			s.certify(true, time.Now().Add(time.Hour))
			made, err := os.ReadFile(s.path("state/identity/device.pem"))
			if err != nil {
				s.t.Fatal(err)
			}
			_, key := pem.Decode(kept)
			cert, _ := pem.Decode(made)
			s.identity("device.pem", append(pem.EncodeToMemory(cert), key...))
		}, "enroll this device again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := clinic(t)
			c.make(s)
			p := s.launch("stepaway-courier", "run", "--state", s.path("state"), "--link", s.path("none"), "--policy", s.path("none.yaml"))
			rig.WaitFor(t, "a word about the certificate", func() bool { return strings.Contains(log(p), c.want) })
			rig.WaitFor(t, "the spool", func() bool { return strings.Contains(log(p), "spool open") })
			time.Sleep(3 * time.Second) // for several tries
			about := 0
			for line := range strings.Lines(log(p)) {
				if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
					about++
				}
			}
			if about > 2 {
				t.Errorf("%d lines about one trouble", about)
			}
			if err := p.Stop(20 * time.Second); err != nil || p.ExitCode() != 0 {
				t.Errorf("the courier ended with %d: %v", p.ExitCode(), err)
			}
			if t.Failed() {
				t.Logf("the courier said:\n%s", log(p))
			}
		})
	}
}

// A file in the spool's place that is no spool, and then a courier that nothing can be stored by: the desktop locks on
// time, and the courier's new epoch says what was found.
func TestSessionSpoolThatIsNone(t *testing.T) {
	s := open(t, bare)
	dir := s.path("state/spool")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := []byte(strings.Repeat("this is a recipe for pancakes\n", 2000))
	if err := os.WriteFile(filepath.Join(dir, "spool.db"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	said := s.await(audit.SpoolQuarantined, 1)
	if said.Severity != audit.Alert || said.Facts == nil || said.Facts.Code == "" {
		t.Errorf("spool.quarantined: %+v", said)
	}
	s.locksOnTime()
	s.whole()
	aside, _ := filepath.Glob(filepath.Join(dir, "spool.db?*"))
	kept := false
	for _, path := range aside {
		b, err := os.ReadFile(path)
		kept = kept || err == nil && string(b) == string(foreign)
	}
	if !kept {
		t.Errorf("the foreign file is not kept: %v", aside)
	}
}

// A courier that can write nowhere: the desktop is warned and locked all the same, and the agent keeps the events until
// the courier can.
func TestSessionCourierThatCannotWrite(t *testing.T) {
	s := open(t, bare)
	if err := os.WriteFile(s.path("state/spool"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.phase(link.Secured)
	if said := log(s.agent); !strings.Contains(said, "not a directory") || !strings.Contains(said, "program ended; starting it again") {
		t.Errorf("nobody says that the courier cannot work:\n%s", said)
	}
	if n := strings.Count(log(s.agent), "\n"); n > 40 {
		t.Errorf("%d lines in the log", n)
	}
	if err := os.Remove(s.path("state/spool")); err != nil {
		t.Fatal(err)
	}
	s.locksOnTime()
	s.whole()
}
