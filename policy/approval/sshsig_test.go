package approval

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestWhatKeygenSigns: each kind of key, each hash, made by ssh-keygen and verified here.
func TestWhatKeygenSigns(t *testing.T) {
	s := statementOf(Sign, "alice")
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "384"}, {"ecdsa", "-b", "521"},
		{"rsa", "-b", "2048"}, {"rsa", "-b", "3072"}, {"rsa", "-b", "4096"}} {
		key := newKey(t, kind[0], kind[1:]...)
		for _, hash := range []string{"sha256", "sha512"} {
			file := append(s.Text(), keygenSign(t, key, Namespace, s.Text(), "-Ohashalg="+hash)...)
			g, err := Parse(file)
			if err != nil {
				t.Fatalf("%v %s: %v\n%s", kind, hash, err, file)
			}
			if !sameStatement(g.Statement, s) {
				t.Errorf("%v: read %+v, want %+v", kind, g.Statement, s)
			}
			out, err := exec.Command(keygen(t), "-l", "-f", key+".pub").Output()
			if err != nil || strings.Fields(string(out))[1] != g.Fingerprint() {
				t.Errorf("%v: key %s, ssh-keygen says %s (%v)", kind, g.Fingerprint(), out, err)
			}
			if err := signersOf(t, "alice "+pub(t, key)).Admits(g, now); err != nil {
				t.Errorf("%v: %v", kind, err)
			}
		}
	}
}

func sameStatement(a, b Statement) bool { return bytes.Equal(a.Text(), b.Text()) }

// TestKeysThatMayNotSign: ssh-keygen makes these signatures, and they do not count.
func TestKeysThatMayNotSign(t *testing.T) {
	s := statementOf(Sign, "alice")
	short := newKey(t, "rsa", "-b", "1024")
	ca, held := newKey(t, "ed25519"), newKey(t, "ed25519")
	if out, err := exec.Command(keygen(t), "-q", "-s", ca, "-I", "id", "-n", "alice", held+".pub").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	put(t, held+"-cert", "")
	private, err := os.ReadFile(held)
	if err != nil {
		t.Fatal(err)
	}
	put(t, held+"-cert", string(private)) // ssh-keygen finds the certificate as the public half
	for what, c := range map[string]struct{ key, says string }{
		"short RSA":   {short, "1024 bits may not sign; 2048 is the least"},
		"certificate": {held + "-cert", "ssh-ed25519-cert-v01@openssh.com\" may not sign"},
	} {
		sig := keygenSign(t, c.key, Namespace, s.Text())
		if _, err := Parse(append(s.Text(), sig...)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
}

// TestByHand follows the package's format with nothing but a shell and ssh-keygen, and lets ssh-keygen check it.
func TestByHand(t *testing.T) {
	key := newKey(t, "ed25519")
	cmd := exec.Command("sh", "-euc", `
		cat >text <<'END'
stepaway policy statement 1
act: approve
by: bob@clinic.example
hash: `+strings.Repeat("ab", 32)+`
group: -
version: 0
signers: `+NoSigners+`
expires: 2026-03-08T12:00:00Z
END
		ssh-keygen -q -Y sign -n policy@stepaway -f "$1" text
		cat text text.sig >x.approval
		echo "bob@clinic.example namespaces=\"policy@stepaway\" $(cat "$1.pub")" >allowed
		sed '/^-----BEGIN/,$d' x.approval >back
		sed -n '/^-----BEGIN/,$p' x.approval >back.sig
		ssh-keygen -Y verify -n policy@stepaway -f allowed -I bob@clinic.example -s back.sig <back`, "sh", key)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(cmd.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	g, err := Parse(read("x.approval"))
	if err != nil {
		t.Fatal(err)
	}
	if g.By != "bob@clinic.example" || g.Group != "" || g.Version != 0 || g.Signers != NoSigners || g.Act != Approve {
		t.Errorf("read %+v", g)
	}
	if err := signersOf(t, string(read("allowed"))).Admits(g, now); err != nil {
		t.Error(err)
	}
}

// TestSecurityKeys: the format of FIDO tokens, with keys in software; see securityKey.
func TestSecurityKeys(t *testing.T) {
	s := statementOf(Sign, "alice")
	for _, kind := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		for flags, says := range map[byte]string{1: "", 5: "", 0: "nobody touched", 4: "nobody touched"} {
			k := securityKey(t, kind, flags)
			file := k.file(s)
			_, err := Parse(file)
			if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
				t.Errorf("%s with flags %d: %v, want %q", kind, flags, err, says)
			}
			// The signature is one to ssh-keygen as well, which does not ask for presence here.
			if !keygenVerify(t, k.line("alice"), "alice", Namespace, s.Text(), file[len(s.Text()):], "UTC", now) {
				t.Errorf("%s with flags %d: ssh-keygen does not take it", kind, flags)
			}
		}
		for what, change := range map[string]func(*ssh.Signature){
			"present, said afterwards": func(g *ssh.Signature) { g.Rest[0] |= 1 },
			"other counter":            func(g *ssh.Signature) { g.Rest[4]++ },
			"cut":                      func(g *ssh.Signature) { g.Rest = g.Rest[:4] },
			"longer":                   func(g *ssh.Signature) { g.Rest = append(g.Rest, 0) },
			"nothing":                  func(g *ssh.Signature) { g.Rest = nil },
		} {
			k := securityKey(t, kind, 4)
			if what != "present, said afterwards" {
				k = securityKey(t, kind, 1)
			}
			sign := k.sign
			k.sign = func(data []byte) *ssh.Signature {
				g := *sign(data)
				g.Rest = append([]byte{}, g.Rest...)
				change(&g)
				return &g
			}
			if _, err := Parse(k.file(s)); err == nil {
				t.Errorf("%s, %s: taken", kind, what)
			}
		}
	}
}

// TestBlobs: each part of a signature that is not as it must be, the rest signed rightly.
func TestBlobs(t *testing.T) {
	s := statementOf(Sign, "alice")
	k := newEd25519(t)
	if _, err := Parse(k.file(s)); err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	oldRSA := plain(t, big)
	oldRSA.sign = func(data []byte) *ssh.Signature {
		sum := sha1.Sum(data)
		b, err := rsa.SignPKCS1v15(rand.Reader, big, crypto.SHA1, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return &ssh.Signature{Format: ssh.KeyAlgoRSA, Blob: b}
	}
	if probe := []byte("x"); oldRSA.public.Verify(probe, oldRSA.sign(probe)) != nil {
		t.Error("the SHA-1 signature of this test is not one: the case below would show nothing")
	}
	longer := k
	longer.sign = func(data []byte) *ssh.Signature { g := *k.sign(data); g.Rest = []byte{1}; return &g }
	raw := func(k software, change func(*blob)) []byte { return ssh.Marshal(k.blob(s.Text(), change)) }
	for what, c := range map[string]struct {
		raw  []byte
		says string
	}{
		"other namespace":    {raw(k, func(b *blob) { b.Namespace = "file" }), `namespace "file"`},
		"namespace in case":  {raw(k, func(b *blob) { b.Namespace = "Policy@stepaway" }), "namespace"},
		"no namespace":       {raw(k, func(b *blob) { b.Namespace = "" }), "namespace"},
		"namespace with ESC": {raw(k, func(b *blob) { b.Namespace = "\x1b[2J" }), `"?[2J"`},
		"version 2":          {raw(k, func(b *blob) { b.Version = 2 }), "version 1"},
		"reserved":           {raw(k, func(b *blob) { b.Reserved = "x" }), "version 1"},
		"sha1 over the text": {raw(k, func(b *blob) { b.Hash = "sha1" }), `hash "sha1"`},
		"other magic":        {raw(k, func(b *blob) { b.Magic[0] = 's' }), "version 1"},
		"trailing byte":      {append(raw(k, nil), 0), "not one of ssh-keygen"},
		"cut":                {raw(k, nil)[:100], "not one of ssh-keygen"},
		"nothing":            {nil, "not one of ssh-keygen"},
		"ssh-rsa, SHA-1":     {raw(oldRSA, nil), `signature of the type "ssh-rsa"`},
		"longer signature":   {raw(longer, nil), "something after it"},
		"key with more":      {raw(k, func(b *blob) { b.Key = append(b.Key, 0) }), "not a right SSH public key"},
		"no key":             {raw(k, func(b *blob) { b.Key = nil }), "not an SSH public key"},
		"unknown key":        {raw(k, func(b *blob) { b.Key = ssh.Marshal(struct{ T, X string }{"ssh-\x1b", "x"}) }), `"ssh-?" may not sign`},
		"another's key":      {raw(k, func(b *blob) { b.Key = newEd25519(t).public.Marshal() }), "does not fit"},
	} {
		_, err := Parse(append(s.Text(), arm(c.raw)...))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
}
