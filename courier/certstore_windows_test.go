package courier

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The calls that make a key in the machine's key storage provider: what a site's PKI does, and Stepaway never.
var (
	ncrypt           = windows.NewLazySystemDLL("ncrypt.dll")
	openProvider     = ncrypt.NewProc("NCryptOpenStorageProvider")
	createKey        = ncrypt.NewProc("NCryptCreatePersistedKey")
	setProperty      = ncrypt.NewProc("NCryptSetProperty")
	finalizeKey      = ncrypt.NewProc("NCryptFinalizeKey")
	exportKey        = ncrypt.NewProc("NCryptExportKey")
	setContext       = windows.NewLazySystemDLL("crypt32.dll").NewProc("CertSetCertificateContextProperty")
	softwareProvider = "Microsoft Software Key Storage Provider"
)

const (
	machineKey = 0x20 // NCRYPT_MACHINE_KEY_FLAG
	overwrite  = 0x80 // NCRYPT_OVERWRITE_KEY_FLAG
	infoOfKey  = 2    // CERT_KEY_PROV_INFO_PROP_ID
)

// keyInfo is CRYPT_KEY_PROV_INFO.
type keyInfo struct {
	container, provider *uint16
	kind, flags         uint32
	params              uint32
	param               uintptr
	spec                uint32
}

func wide(t *testing.T, s string) *uint16 {
	t.Helper()
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t *testing.T, p *windows.LazyProc, args ...uintptr) {
	t.Helper()
	if status, _, _ := p.Call(args...); status != 0 {
		t.Fatalf("%s: %#x", p.Name, status)
	}
}

// machineKeyOf makes a key that stays in the machine's provider.
func machineKeyOf(t *testing.T, name string, bits uint32) ncryptKey {
	t.Helper()
	var provider, key windows.Handle
	must(t, openProvider, uintptr(unsafe.Pointer(&provider)), uintptr(unsafe.Pointer(wide(t, softwareProvider))), 0)
	must(t, createKey, uintptr(provider), uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(wide(t, "RSA"))),
		uintptr(unsafe.Pointer(wide(t, name))), 0, machineKey|overwrite)
	must(t, setProperty, uintptr(key), uintptr(unsafe.Pointer(wide(t, "Length"))), uintptr(unsafe.Pointer(&bits)), 4, 0)
	must(t, finalizeKey, uintptr(key), 0)
	blob := make([]byte, 4096)
	var n uint32
	must(t, exportKey, uintptr(key), 0, uintptr(unsafe.Pointer(wide(t, "RSAPUBLICBLOB"))), 0, uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)),
		uintptr(unsafe.Pointer(&n)), 0)
	return ncryptKey{key, publicOf(blob[:n])}
}

// publicOf reads a BCRYPT_RSAKEY_BLOB: a header of six words, then exponent and modulus.
func publicOf(blob []byte) *rsa.PublicKey {
	word := func(i int) int { return int(binary.LittleEndian.Uint32(blob[4*i:])) }
	e, n := blob[24:24+word(2)], blob[24+word(2):24+word(2)+word(3)]
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
}

// installed puts a certificate for the key into LocalMachine\My, and gives its thumbprint.
func installed(t *testing.T, key ncryptKey, name string) (thumbprint string, cert *x509.Certificate) {
	t.Helper()
	der := issue(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ws-1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, key.public)
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM, 0, 0, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE, uintptr(unsafe.Pointer(wide(t, "MY"))))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CertCloseStore(store, 0)
	context, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CertFreeCertificateContext(context)
	info := keyInfo{container: wide(t, name), provider: wide(t, softwareProvider), flags: machineKey}
	if ok, _, err := setContext.Call(uintptr(unsafe.Pointer(context)), infoOfKey, 0, uintptr(unsafe.Pointer(&info))); ok == 0 {
		t.Fatalf("tell the certificate of its key: %v", err)
	}
	if err := windows.CertAddCertificateContextToStore(store, context, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil); err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(der)
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum[:]), cert
}

// The machine's store finds a certificate by its thumbprint, and the collector sees over TLS 1.3 that its key, which never
// leaves the provider, is had. How Windows gets from the one to the other is no part of Wine, and neither are keys of elliptic curves.
func TestCertificateOfTheMachinesStore(t *testing.T) {
	const name = "stepaway-test"
	key := machineKeyOf(t, name, 2048)
	thumbprint, cert := installed(t, key, name)
	_, err := storeKeys(strings.ToUpper(thumbprint[:2]) + " " + thumbprint[2:]) // as the dialog of Windows shows it
	if err != nil && !strings.Contains(err.Error(), "use its key") {
		t.Errorf("not found: %v", err)
	}
	if seen := handshake(t, &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}); !seen.Equal(cert) {
		t.Errorf("the collector saw %v", seen.Subject)
	}
	for _, wrong := range []string{"", "00", strings.Repeat("0", 40), strings.Repeat("z", 40)} {
		if _, err := storeKeys(wrong); err == nil || strings.Contains(err.Error(), "use its key") {
			t.Errorf("thumbprint %q: %v", wrong, err)
		}
	}
}

// handshake gives the certificate that a server of TLS 1.3 was shown and proved.
func handshake(t *testing.T, client *tls.Certificate) *x509.Certificate {
	t.Helper()
	key := newKey(t)
	der := issue(t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"collector"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, key.Public())
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go func() {
		c := tls.Client(there, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*client}})
		_ = c.Handshake() // what came of it is seen by the server
	}()
	s := tls.Server(here, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	return s.ConnectionState().PeerCertificates[0]
}

// issue is what a site's CA does.
func issue(t *testing.T, form *x509.Certificate, public crypto.PublicKey) []byte {
	t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "site"}}
	der, err := x509.CreateCertificate(rand.Reader, form, ca, public, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return der
}
