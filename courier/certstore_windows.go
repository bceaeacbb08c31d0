package courier

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

var ncryptSignHash = windows.NewLazySystemDLL("ncrypt.dll").NewProc("NCryptSignHash")

// stored is a certificate in the store LocalMachine\My, whose key never leaves it.
type stored struct{ pair tls.Certificate }

func (s *stored) current() (*tls.Certificate, error) { return &s.pair, nil }

// storeKeys finds a certificate by the SHA-1 of its DER in hex, as Windows shows it.
func storeKeys(thumbprint string) (keys, error) {
	sum, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(thumbprint))
	if err != nil || len(sum) != 20 {
		return nil, fmt.Errorf("thumbprint %.60q: want 40 hex digits", thumbprint)
	}
	pair, err := fromStore(sum)
	if err != nil {
		return nil, fmt.Errorf("certificate %x in the store of the machine: %w", sum, err)
	}
	return &stored{pair}, nil
}

func fromStore(sum []byte) (pair tls.Certificate, err error) {
	name, err := windows.UTF16PtrFromString("MY")
	if err != nil {
		return pair, err
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM, 0, 0,
		windows.CERT_SYSTEM_STORE_LOCAL_MACHINE|windows.CERT_STORE_READONLY_FLAG, uintptr(unsafe.Pointer(name)))
	if err != nil {
		return pair, fmt.Errorf("open the store: %w", err)
	}
	defer windows.CertCloseStore(store, 0)
	blob := windows.CryptHashBlob{Size: uint32(len(sum)), Data: &sum[0]}
	found, err := windows.CertFindCertificateInStore(store, windows.X509_ASN_ENCODING|windows.PKCS_7_ASN_ENCODING, 0,
		windows.CERT_FIND_SHA1_HASH, unsafe.Pointer(&blob), nil)
	if err != nil {
		return pair, fmt.Errorf("find it: %w", err)
	}
	defer windows.CertFreeCertificateContext(found)
	if pair, err = certificate(found); err != nil {
		return pair, err
	}
	pair.PrivateKey, err = privateKey(found, pair.Leaf.PublicKey)
	return pair, err
}

func certificate(found *windows.CertContext) (pair tls.Certificate, err error) {
	der := append([]byte(nil), unsafe.Slice(found.EncodedCert, found.Length)...)
	pair.Certificate = [][]byte{der}
	pair.Leaf, err = x509.ParseCertificate(der)
	return pair, err
}

// privateKey is held for as long as the program runs.
func privateKey(found *windows.CertContext, public crypto.PublicKey) (ncryptKey, error) {
	var key windows.Handle
	var spec uint32
	var free bool
	err := windows.CryptAcquireCertificatePrivateKey(found, windows.CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG|windows.CRYPT_ACQUIRE_SILENT_FLAG,
		nil, &key, &spec, &free)
	if err != nil {
		return ncryptKey{}, fmt.Errorf("use its key: %w", err)
	}
	return ncryptKey{key, public}, nil
}

// ncryptKey signs with a key that the system keeps.
type ncryptKey struct {
	handle windows.Handle
	public crypto.PublicKey
}

// Public implements crypto.Signer.
func (k ncryptKey) Public() crypto.PublicKey { return k.public }

// pssInfo is BCRYPT_PSS_PADDING_INFO.
type pssInfo struct {
	algorithm *uint16
	salt      uint32
}

const padPSS = 8 // NCRYPT_PAD_PSS_FLAG

// Sign implements crypto.Signer, as TLS 1.3 needs it: ECDSA, and RSA with PSS.
func (k ncryptKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		raw, err := k.sign(nil, digest, 0)
		if err != nil {
			return nil, err
		}
		half := len(raw) / 2
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	case *rsa.PublicKey:
		if _, pss := opts.(*rsa.PSSOptions); !pss {
			return nil, errors.New("sign: only PSS is done with a key of the store")
		}
		name, err := windows.UTF16PtrFromString(strings.ReplaceAll(opts.HashFunc().String(), "-", "")) // SHA256
		if err != nil {
			return nil, err
		}
		return k.sign(unsafe.Pointer(&pssInfo{name, uint32(opts.HashFunc().Size())}), digest, padPSS)
	}
	return nil, fmt.Errorf("sign: %T is not done with a key of the store", k.public)
}

func (k ncryptKey) sign(padding unsafe.Pointer, digest []byte, flags uint32) ([]byte, error) {
	sig := make([]byte, 1024)
	var n uint32
	status, _, _ := ncryptSignHash.Call(uintptr(k.handle), uintptr(padding), uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
		uintptr(unsafe.Pointer(&sig[0])), uintptr(len(sig)), uintptr(unsafe.Pointer(&n)), uintptr(flags))
	if status != 0 {
		return nil, fmt.Errorf("sign with a key of the store: status %#x", status)
	}
	return sig[:n], nil
}
