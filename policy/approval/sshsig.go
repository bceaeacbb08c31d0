package approval

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Namespace is that of every signature here, ssh-keygen's -n.
const Namespace = "policy@stepaway"

// The armour, and the beginning of what stands in it and of what is signed.
const (
	begin = "-----BEGIN SSH SIGNATURE-----\n"
	end   = "-----END SSH SIGNATURE-----\n"
	wide  = 70
)

var magic = [6]byte{'S', 'S', 'H', 'S', 'I', 'G'}

// leastRSA is the shortest RSA key that may sign, in bits.
const leastRSA = 2048

// formats are the kinds of keys that may sign, each with the kinds of signatures that it may make: nothing with SHA-1, no
// DSA, no certificates.
var formats = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
}

// blob is what stands in the armour, by OpenSSH's PROTOCOL.sshsig.
type blob struct {
	Magic     [6]byte
	Version   uint32
	Key       []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// verify gives the key with which armour signs text.
func verify(text, armour []byte) (ssh.PublicKey, error) {
	b, err := parseBlob(armour)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(b.Key)
	if err != nil {
		return nil, err
	}
	sig, err := parseSignature(key, b.Signature)
	if err != nil {
		return nil, err
	}
	digest := sha512.New()
	if b.Hash == "sha256" {
		digest = sha256.New()
	}
	digest.Write(text)
	signed := ssh.Marshal(struct {
		Magic                     [6]byte
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{magic, b.Namespace, b.Reserved, b.Hash, digest.Sum(nil)})
	if err := key.Verify(signed, sig); err != nil {
		return nil, errors.New("the signature does not fit the statement: one of them was changed; have it signed again")
	}
	return key, nil
}

func parseBlob(armour []byte) (blob, error) {
	raw, err := disarm(armour)
	if err != nil {
		return blob{}, err
	}
	var b blob
	if err := ssh.Unmarshal(raw, &b); err != nil {
		return blob{}, errors.New("the signature is not one of ssh-keygen -Y sign")
	}
	switch {
	case b.Magic != magic || b.Version != 1 || b.Reserved != "":
		return blob{}, errors.New("the signature is not one of ssh-keygen -Y sign, version 1")
	case b.Namespace != Namespace:
		return blob{}, fmt.Errorf("signed for the namespace %q; sign with ssh-keygen -Y sign -n %s", printable(b.Namespace), Namespace)
	case b.Hash != "sha256" && b.Hash != "sha512":
		return blob{}, fmt.Errorf("signed over the hash %q; sha256 and sha512 are taken", printable(b.Hash))
	}
	return b, nil
}

// disarm reads exactly what arm writes.
func disarm(armour []byte) ([]byte, error) {
	body, ok := strings.CutPrefix(string(armour), begin)
	body, too := strings.CutSuffix(body, end)
	if !ok || !too {
		return nil, fmt.Errorf("the signature does not end with the line %q, and nothing after it", strings.TrimSpace(end))
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil || !bytes.Equal(arm(raw), armour) {
		return nil, errors.New("the signature is not written as ssh-keygen writes it; append its file as it is")
	}
	return raw, nil
}

func arm(raw []byte) []byte {
	text := base64.StdEncoding.EncodeToString(raw)
	var b bytes.Buffer
	b.WriteString(begin)
	for line := range slices.Chunk([]byte(text), wide) {
		b.Write(append(line[:len(line):len(line)], '\n'))
	}
	b.WriteString(end)
	return b.Bytes()
}

// parseKey reads a public key of a kind that may sign.
func parseKey(raw []byte) (ssh.PublicKey, error) {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(raw, &head); err != nil {
		return nil, errors.New("not an SSH public key")
	}
	if _, known := formats[head.Type]; !known {
		return nil, fmt.Errorf("keys of the type %q may not sign; use ed25519, ecdsa, ed25519-sk, ecdsa-sk or rsa", printable(head.Type))
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil || !bytes.Equal(key.Marshal(), raw) {
		return nil, fmt.Errorf("not a right SSH public key of the type %s", head.Type)
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < leastRSA {
			return nil, fmt.Errorf("an RSA key of %d bits may not sign; %d is the least", r.N.BitLen(), leastRSA)
		}
	}
	return key, nil
}

// parseSignature reads a signature of a kind that key may make.
func parseSignature(key ssh.PublicKey, raw []byte) (*ssh.Signature, error) {
	var sig ssh.Signature
	if err := ssh.Unmarshal(raw, &sig); err != nil {
		return nil, errors.New("the signature is cut or has something after it")
	}
	if !slices.Contains(formats[key.Type()], sig.Format) {
		return nil, fmt.Errorf("a key of the type %s with a signature of the type %q is not taken", key.Type(), printable(sig.Format))
	}
	if !strings.HasPrefix(sig.Format, "sk-") {
		if len(sig.Rest) > 0 {
			return nil, errors.New("the signature has something after it")
		}
		return &sig, nil
	}
	// A security key adds its flags, one byte, and its counter, four.
	const present = 1
	switch {
	case len(sig.Rest) != 5:
		return nil, errors.New("the security key's signature is cut or has something after it")
	case sig.Rest[0]&present == 0:
		return nil, errors.New("nobody touched the security key: a key that was made with no-touch-required may not sign")
	}
	return &sig, nil
}
