package approval

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// statementOf is a right one.
func statementOf(act Act, by string) Statement {
	return Statement{Act: act, By: by, Hash: strings.Repeat("ab", 32), Group: "ward-3", Version: 12,
		Signers: strings.Repeat("cd", 32), Expires: now.Add(7 * 24 * time.Hour)}
}

// wantedBy is what statementOf's are good for.
func wantedBy() Wanted {
	s := statementOf(Sign, "x")
	return Wanted{Hash: s.Hash, Group: s.Group, Version: s.Version, Signers: s.Signers, Now: now}
}

func keygen(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Fatal("ssh-keygen is missing: run `make deps`")
	}
	return path
}

// newKey makes a key with ssh-keygen, such as newKey(t, "rsa", "-b", "3072"), and gives the private key's file.
func newKey(t testing.TB, kind string, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	args := append([]string{"-q", "-t", kind, "-N", "", "-C", "", "-f", path}, more...)
	if out, err := exec.Command(keygen(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
	}
	return path
}

// pub is the public key as it stands in an allowed signers' file.
func pub(t testing.TB, key string) string {
	t.Helper()
	b, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// keygenSign has ssh-keygen sign text, and gives what it wrote.
func keygenSign(t testing.TB, key, namespace string, text []byte, more ...string) []byte {
	t.Helper()
	cmd := exec.Command(keygen(t), append([]string{"-Y", "sign", "-n", namespace, "-f", key}, more...)...)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen -Y sign: %v", err)
	}
	return out
}

// keygenVerify asks ssh-keygen whether it would take a signature, in a time zone at an instant.
func keygenVerify(t testing.TB, allowed, principal, namespace string, text, signature []byte, zone string, at time.Time) bool {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "allowed"), allowed)
	put(t, filepath.Join(dir, "sig"), string(signature))
	cmd := exec.Command(keygen(t), "-Y", "verify", "-n", namespace, "-f", filepath.Join(dir, "allowed"), "-I", principal,
		"-s", filepath.Join(dir, "sig"), "-Overify-time="+at.UTC().Format("20060102150405")+"Z")
	cmd.Stdin, cmd.Env = bytes.NewReader(text), append(os.Environ(), "TZ="+zone)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return err == nil
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// signed is an approval file made with ssh-keygen.
func signed(t testing.TB, key string, s Statement) []byte {
	t.Helper()
	return append(s.Text(), keygenSign(t, key, Namespace, s.Text())...)
}

// software is a key of this test and how it signs.
type software struct {
	public ssh.PublicKey
	sign   func(data []byte) *ssh.Signature
}

func plain(t testing.TB, private any) software {
	t.Helper()
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return software{s.PublicKey(), func(data []byte) *ssh.Signature {
		sig, err := s.Sign(rand.Reader, data)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}}
}

func newEd25519(t testing.TB) software {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain(t, private)
}

// line of an allowed signers' file.
func (k software) line(names string) string {
	return names + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.public))) + "\n"
}

// blob wraps a signature of text; change, if any, spoils what is signed and what is said alike.
func (k software) blob(text []byte, change func(*blob)) blob {
	b := blob{Magic: magic, Version: 1, Key: k.public.Marshal(), Namespace: Namespace, Hash: "sha512"}
	if change != nil {
		change(&b)
	}
	sum := sha512.Sum512(text)
	digest := sum[:]
	if b.Hash == "sha256" {
		short := sha256.Sum256(text)
		digest = short[:]
	}
	data := ssh.Marshal(struct {
		Magic                     [6]byte
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{b.Magic, b.Namespace, b.Reserved, b.Hash, digest})
	b.Signature = ssh.Marshal(k.sign(data))
	return b
}

// file is an approval file, signed by this test.
func (k software) file(s Statement) []byte {
	return append(s.Text(), arm(ssh.Marshal(k.blob(s.Text(), nil)))...)
}

// securityKey is a software key that signs in the format of a FIDO token, by OpenSSH's PROTOCOL.u2f. No hardware token made
// any of these signatures.
func securityKey(t testing.TB, kind string, flags byte) software {
	t.Helper()
	const application, counter = "ssh:", 7
	app := sha256.Sum256([]byte(application))
	signedData := func(data []byte) []byte {
		sum := sha256.Sum256(data)
		b := append(append([]byte{}, app[:]...), flags)
		return append(binary.BigEndian.AppendUint32(b, counter), sum[:]...)
	}
	rest := binary.BigEndian.AppendUint32([]byte{flags}, counter)
	var raw []byte
	var sign func(data []byte) *ssh.Signature
	switch kind {
	case ssh.KeyAlgoSKED25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw = ssh.Marshal(struct {
			Type string
			Key  []byte
			App  string
		}{kind, public, application})
		sign = func(data []byte) *ssh.Signature {
			return &ssh.Signature{Format: kind, Blob: ed25519.Sign(private, signedData(data)), Rest: rest}
		}
	case ssh.KeyAlgoSKECDSA256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		raw = ssh.Marshal(struct {
			Type, Curve string
			Point       []byte
			App         string
		}{kind, "nistp256", point, application})
		sign = func(data []byte) *ssh.Signature {
			sum := sha256.Sum256(signedData(data))
			return &ssh.Signature{Format: kind, Blob: mpints(t, private, sum[:]), Rest: rest}
		}
	}
	public, err := ssh.ParsePublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return software{public, sign}
}

// mpints signs as SSH writes ECDSA signatures.
func mpints(t testing.TB, private *ecdsa.PrivateKey, sum []byte) []byte {
	t.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, private, sum)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Marshal(struct{ R, S *big.Int }{r, s})
}

func b64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

func signersOf(t testing.TB, text string) Signers {
	t.Helper()
	s, ps := ParseSigners([]byte(text))
	if len(ps) > 0 {
		t.Fatalf("allowed signers: %v", ps)
	}
	return s
}
