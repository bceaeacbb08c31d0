package lock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/policy"
)

// certifier is a certification authority for those who sign programs.
type certifier struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCertifier(t *testing.T) certifier {
	t.Helper()
	c := certifier{cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Code Signing Root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}, key: newKey(t)}
	c.cert = c.sign(t, c.cert, c.key)
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c certifier) sign(t *testing.T, cert *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, c.cert, key.Public(), c.key)
	if err == nil {
		cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// trust makes this Windows trust what the authority has certified, until the test ends. It writes what the store's own function
// would: Wine forgets what is added to its roots, and what is not of Linux among those of the machine.
func (c certifier) trust(t *testing.T) {
	t.Helper()
	path := fmt.Sprintf(`SOFTWARE\Microsoft\SystemCertificates\Root\Certificates\%X`, sha1.Sum(c.cert.Raw))
	key, _, err := registry.CreateKey(registry.CURRENT_USER, path, registry.SET_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	element := []byte{32, 0, 0, 0, 1, 0, 0, 0} // CERT_CERT_PROP_ID
	element = binary.LittleEndian.AppendUint32(element, uint32(len(c.cert.Raw)))
	if err := key.SetBinaryValue("Blob", append(element, c.cert.Raw...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.DeleteKey(registry.CURRENT_USER, path) })
}

// publish signs a program as a publisher does, into another file.
func (c certifier) publish(t *testing.T, path, publisher, signed string) string {
	t.Helper()
	key := newKey(t)
	cert := c.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: publisher},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certs, keys := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certs, "CERTIFICATE", cert.Raw, c.cert.Raw)
	writePEM(t, keys, "PRIVATE KEY", der)
	// Signed under another name, which it gets when it is whole.
	outside(t, "/usr/bin/osslsigncode", "sign", "-certs", unixPath(certs), "-key", unixPath(keys), "-h", "sha256",
		"-in", unixPath(path), "-out", unixPath(signed))
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if f, err := os.OpenFile(signed, os.O_RDWR, 0); err == nil {
			info, _ := f.Stat()
			f.Close()
			if before, _ := os.Stat(path); info.Size() > before.Size()+500 {
				return signed
			}
		}
	}
	t.Fatal("nothing was signed: run `make deps`")
	return ""
}

func writePEM(t *testing.T, path, kind string, blocks ...[]byte) {
	t.Helper()
	var b []byte
	for _, der := range blocks {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unixPath is where a file of drive C: is outside.
func unixPath(path string) string {
	return os.Getenv("WINEPREFIX") + "/drive_c" + strings.ReplaceAll(strings.TrimPrefix(path, "C:"), `\`, "/")
}

// TestPublisher: of several programs at a client's path only that counts which the publisher has signed.
func TestPublisher(t *testing.T) {
	const name = "Example Health Inc."
	dir := t.TempDir()
	unsigned := install(t, filepath.Join(dir, "unsigned.exe"))
	root := newCertifier(t)
	good := root.publish(t, unsigned, name, filepath.Join(dir, "good.exe"))
	changed := filepath.Join(dir, "changed.exe")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1 // somewhere in what is signed
	if err := os.WriteFile(changed, b, 0o700); err != nil {
		t.Fatal(err)
	}
	another := root.publish(t, unsigned, "Example Health Inc", filepath.Join(dir, "another.exe"))
	foreign := newCertifier(t).publish(t, unsigned, name, filepath.Join(dir, "foreign.exe"))
	root.trust(t) // before anything is checked: Wine reads once who is trusted
	if who, err := signerOf(t, good); who != name || err != nil {
		t.Errorf("%q, %v", who, err)
	}
	if who, err := signerOf(t, another); who != "Example Health Inc" || err != nil {
		t.Errorf("%q, %v", who, err)
	}
	for _, path := range []string{unsigned, changed, foreign} {
		if who, err := signerOf(t, path); err == nil {
			t.Errorf("%s: signed by %q", path, who)
		}
	}
	client := policy.Client{Paths: []string{filepath.Join(dir, "*.exe")}, Publisher: name, AtDeadline: policy.End}
	his := run(t, good, hidden)
	var others []*exec.Cmd
	for _, path := range []string{unsigned, another, foreign} {
		others = append(others, run(t, path, hidden))
	}
	if steps, left := closeAll(t, Options{}, client); codes(steps) != "ended" || steps[0].Count != 1 || left != 0 || alive(t, his) {
		t.Errorf("%v, %d left", steps, left)
	}
	for _, cmd := range others {
		if !alive(t, cmd) {
			t.Errorf("%s is ended", cmd.Path)
		}
	}
}

func signerOf(t *testing.T, path string) (string, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return signer(windows.Handle(f.Fd()), path)
}

// TestProviderLayout: what is read of Microsoft's structures lies where a C compiler for 64 bits has it.
func TestProviderLayout(t *testing.T) {
	if at := unsafe.Offsetof(cryptProviderCert{}.Cert); at != 8 {
		t.Errorf("the certificate is at %d", at)
	}
	if at := unsafe.Offsetof(cryptProviderSgnr{}.ChainContext); at != 56 {
		t.Errorf("the chain is at %d", at)
	}
}
