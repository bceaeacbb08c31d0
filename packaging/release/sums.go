package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	sums      = "SHA256SUMS"
	namespace = "release@stepaway" // of signatures
)

// writeSums writes the check sums of the files named, in dir, in the form of sha256sum.
func writeSums(dir string, names []string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(slices.Values(names)) {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("sum up: %w", err)
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(body), name)
	}
	return os.WriteFile(filepath.Join(dir, sums), []byte(b.String()), 0o644)
}

// sign signs the check sums with an OpenSSH key; one of an agent or a security key does as well.
func sign(dir, key string) error {
	path := filepath.Join(dir, sums)
	if err := os.Remove(path + ".sig"); err != nil && !os.IsNotExist(err) {
		return err
	}
	if key == "" {
		return nil
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, path).CombinedOutput(); err != nil {
		return fmt.Errorf("sign %s: %w: %s", path, err, out)
	}
	return nil
}
