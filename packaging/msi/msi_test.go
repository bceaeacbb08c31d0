package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTwoBuildsAreTheSame(t *testing.T) {
	one, err := os.ReadFile(aBuild(t).must(t))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // what holds the second would differ
	two, err := os.ReadFile(aBuild(t).must(t))
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("two builds differ: %v", err)
	}
	b := aBuild(t)
	b.version = "1.2.4"
	other := b.must(t)
	check := exec.Command("sha256sum", "-c", "--strict", "--quiet", filepath.Base(other)+".sha256")
	check.Dir = b.out
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the check sum: %v %s", err, out)
	}
	if codes(t, other)["ProductCode"] == codes(t, aPackage(t))["ProductCode"] || codes(t, other)["UpgradeCode"] != upgradeCode {
		t.Error("another version has the same product code, or another upgrade code")
	}
}

func codes(t *testing.T, msi string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range read(t, msi, "Property") {
		out[r["Property"]] = r["Value"]
	}
	return out
}

// All that is installed is what was built.
func TestContent(t *testing.T) {
	dir := t.TempDir()
	tool(t, "msiextract", "-C", dir, aPackage(t))
	built, err := programDir()
	if err != nil {
		t.Fatal(err)
	}
	for installed, from := range map[string]string{
		"stepaway-agent.exe":   built + "/stepaway-agent.exe",
		"stepaway-courier.exe": built + "/stepaway-courier.exe",
		"stepaway-tray.exe":    built + "/stepaway-tray.exe",
		"stepaway.admx":        "../policy/stepaway.admx",
		"en-US/stepaway.adml":  "../policy/en-US/stepaway.adml",
		"es-ES/stepaway.adml":  "../policy/es-ES/stepaway.adml",
		"LICENSE.txt":          "../../LICENSE",
	} {
		want, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
			if strings.HasSuffix(path, "/"+installed) {
				got, err = os.ReadFile(path)
			}
			return nil
		})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what was built: %v", installed, err)
		}
	}
}

// Whatever a tool warns of ends the making, and no package of before is left to be taken for the new one.
func TestWarningsEndIt(t *testing.T) {
	b := aBuild(t)
	path := b.must(t)
	bin := t.TempDir()
	real, err := exec.LookPath("wixl")
	if err != nil {
		t.Fatal("wixl is not installed: run `make deps`")
	}
	if err := os.WriteFile(filepath.Join(bin, "wixl"), []byte("#!/bin/sh\necho 'warning: something is left out' >&2\nexec "+real+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if _, err := b.make(); err == nil || !strings.Contains(err.Error(), "something is left out") {
		t.Errorf("it says %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the package of before is still there")
	}
}

func TestWhatCannotBeMade(t *testing.T) {
	for name, change := range map[string]func(*build){
		"no programs":   func(b *build) { b.programs = b.out },
		"no version":    func(b *build) { b.version = "" },
		"no checkout":   func(b *build) { b.root = b.out },
		"no such key":   func(b *build) { b.signer = signer{certificate: b.out + "/c", key: b.out + "/k"} },
		"half a signer": func(b *build) { b.signer = signer{certificate: b.out + "/c"} },
	} {
		b := aBuild(t)
		change(&b)
		if path, err := b.make(); err == nil {
			t.Errorf("%s: made %s", name, path)
		}
	}
}

func TestProductVersion(t *testing.T) {
	for v, want := range map[string]string{"1.2.3": "1.2.3", "0.1.0-dev": "0.1.0", "1.2.0-3-g0123abc": "1.2.0", "10.20.65535": "10.20.65535",
		"": "", "1.2": "", "1.2.3.4": "", "256.0.0": "", "1.256.0": "", "1.2.65536": "", "v1.2.3": "", "99999999999999999999.1.1": ""} {
		if got, err := productVersion(v); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", v, got, err)
		}
	}
}

func TestStampsOnlyASummary(t *testing.T) {
	for _, body := range [][]byte{nil, summaryID, bytes.Repeat([]byte{0}, 100), append(make([]byte, 28), summaryID...),
		append(append(make([]byte, 28), summaryID...), bytes.Repeat([]byte{0xff}, 64)...)} {
		if err := stampSummary(body, epoch); err == nil {
			t.Errorf("%x is taken for a summary", body)
		}
	}
}

// aSigner is one with a certificate of its own making.
func aSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Stepaway test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := signer{certificate: filepath.Join(dir, "c.pem"), key: filepath.Join(dir, "k.pem")}
	for path, block := range map[string]*pem.Block{s.certificate: {Type: "CERTIFICATE", Bytes: der}, s.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestSignaturesAreChecked(t *testing.T) {
	b := aBuild(t)
	b.signer = aSigner(t)
	msi := b.must(t)
	verify := func(path string) ([]byte, error) {
		return exec.Command("osslsigncode", "verify", "-CAfile", b.signer.certificate, "-TSA-CAfile", b.signer.certificate, "-in", path).CombinedOutput()
	}
	if out, err := verify(msi); err != nil {
		t.Errorf("the package is not taken: %v\n%s", err, out)
	}
	dir := t.TempDir()
	tool(t, "msiextract", "-C", dir, msi)
	signed := 0
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".exe") {
			signed++
			if out, err := verify(path); err != nil {
				t.Errorf("%s is not taken: %v\n%s", path, err, out)
			}
		}
		return nil
	})
	if signed != len(programs) {
		t.Errorf("%d programs in the package", signed)
	}
	body, err := os.ReadFile(msi)
	if err != nil {
		t.Fatal(err)
	}
	body[bytes.Index(body, []byte("stepaway-agent"))] ^= 1
	if err := os.WriteFile(msi, body, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(msi); err == nil {
		t.Errorf("a changed package is taken\n%s", out)
	}
}
