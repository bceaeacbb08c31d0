// Command msi makes the Windows Installer package: wixl makes it from a document, msibuild adds the tables that wixl does
// not know, and osslsigncode signs it where a certificate is given.
//
// Failure rules: the first thing that cannot be made ends it, and so does anything that a tool says on standard error, as
// wixl only warns of what it leaves out. A package of before is removed first. The same programs, sources and -epoch give
// the same bytes, but for the signature.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	var b build
	flag.StringVar(&b.root, "root", ".", "the checkout")
	flag.StringVar(&b.programs, "bin", "bin/windows", "where the programs are")
	flag.StringVar(&b.out, "out", "dist", "where the package goes")
	flag.StringVar(&b.version, "version", "", "version of the programs")
	flag.StringVar(&b.signer.certificate, "cert", os.Getenv("STEPAWAY_CODE_CERT"), "`file` with the code signing certificate and what leads to its root; none: nothing is signed")
	flag.StringVar(&b.signer.key, "key", os.Getenv("STEPAWAY_CODE_KEY"), "`file` with its key")
	flag.StringVar(&b.signer.stamps, "timestamp", os.Getenv("STEPAWAY_CODE_TIMESTAMP"), "`URL` of a time stamp authority (RFC 3161)")
	epoch := flag.Int64("epoch", 0, "time of the sources, in seconds")
	flag.Parse()
	b.at = time.Unix(*epoch, 0).UTC()
	path, err := b.make()
	if err != nil {
		fmt.Fprintln(os.Stderr, "msi:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

// build is one package in the making.
type build struct {
	root, programs, out, version string
	at                           time.Time
	signer                       signer
}

// programs that a workstation has.
var programs = []string{"stepaway-agent.exe", "stepaway-courier.exe", "stepaway-tray.exe"}

func (b build) make() (path string, err error) {
	number, err := productVersion(b.version)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(b.out, "stepaway_"+b.version+"_x64.msi")
	for _, old := range []string{path, path + ".sha256"} {
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			return "", err
		}
	}
	stage, err := os.MkdirTemp("", "stepaway-msi")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(stage)
	p := product{version: b.version, number: number}
	if p.content, err = b.fill(stage, p); err != nil {
		return "", err
	}
	if err := p.build(stage); err != nil {
		return "", err
	}
	if err := p.finish(stage); err != nil {
		return "", err
	}
	made := filepath.Join(stage, packageName)
	if err := stamp(made, b.at); err != nil {
		return "", err
	}
	if err := b.signer.sign(made); err != nil {
		return "", err
	}
	if err := copyFile(made, path); err != nil {
		return "", err
	}
	return path, writeSum(path)
}

// writeSum writes the check sum of a file beside it, in the form of sha256sum.
func writeSum(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path+".sha256", fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(body), filepath.Base(path)), 0o644)
}

// fill puts into stage what the package is made of, with the times of the sources. It returns what tells this content from others.
func (b build) fill(stage string, p product) (content string, err error) {
	sum := sha256.New()
	for _, f := range p.files() {
		from := filepath.Join(b.root, f.source)
		if f.source == "" {
			from = filepath.Join(b.programs, f.name)
		}
		to := filepath.Join(stage, f.staged())
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := copyFile(from, to); err != nil {
			return "", fmt.Errorf("%w; run `make windows`", err)
		}
		if f.source == "" {
			if err := b.signer.sign(to); err != nil {
				return "", err
			}
		}
		if err := os.Chtimes(to, b.at, b.at); err != nil {
			return "", err
		}
		body, err := os.ReadFile(to)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", f.staged(), len(body), body)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func copyFile(from, to string) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, body, 0o644)
}
