// Command release makes what is given to sites: the Debian packages with manual pages and completion, what is in them
// as CycloneDX documents, check sums and their signature.
//
// Failure rules: the first thing that cannot be made ends it. The same programs, sources and -epoch give the same bytes,
// wherever the checkout is, but for the signature.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	root := flag.String("root", ".", "the checkout")
	programs := flag.String("bin", "bin", "where the programs are")
	out := flag.String("out", "dist", "where the packages go")
	version := flag.String("version", "", "version of the programs")
	epoch := flag.Int64("epoch", 0, "time of the sources, in seconds")
	key := flag.String("key", os.Getenv("STEPAWAY_SIGNING_KEY"), "OpenSSH key that signs the check sums; none: they are not signed")
	flag.Parse()
	if err := release(*root, *programs, *out, debVersion(*version), *key, time.Unix(*epoch, 0)); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func release(root, programs, out, version, key string, at time.Time) error {
	if version == "" {
		return fmt.Errorf("-version is missing")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var made []string
	for _, p := range debs(version) {
		if err := p.complete(root, programs, at); err != nil {
			return err
		}
		name, err := p.pack(root, out, at)
		if err != nil {
			return err
		}
		list, err := inside(p, programs, at)
		if err != nil {
			return err
		}
		parts := name[:len(name)-len(".deb")] + ".cdx.json"
		if err := os.WriteFile(filepath.Join(out, parts), append(list, '\n'), 0o644); err != nil {
			return err
		}
		made = append(made, name, parts)
		fmt.Println(filepath.Join(out, name))
	}
	if err := writeSums(out, made); err != nil {
		return err
	}
	return sign(out, key)
}
