package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// signer signs programs and package for Authenticode, where it has a certificate.
type signer struct {
	certificate, key, stamps string
}

func (s signer) sign(path string) error {
	if s.certificate == "" && s.key == "" {
		return nil
	}
	certificate, err := filepath.Abs(s.certificate)
	if err != nil {
		return err
	}
	key, err := filepath.Abs(s.key)
	if err != nil {
		return err
	}
	args := []string{"sign", "-certs", certificate, "-key", key, "-h", "sha256", "-n", "Stepaway"}
	if s.stamps != "" {
		args = append(args, "-ts", s.stamps)
	}
	if strings.HasSuffix(path, ".msi") {
		args = append(args, "-add-msi-dse") // names and attributes are signed too
	}
	dir, name := filepath.Split(path)
	if err := runIn(dir, nil, "osslsigncode", append(args, "-in", name, "-out", name+".signed")...); err != nil {
		return fmt.Errorf("sign %s: %w", name, err)
	}
	return os.Rename(path+".signed", path)
}
