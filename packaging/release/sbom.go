package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The parts of a CycloneDX 1.5 document that are used.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version,omitempty"`
		PURL       string     `json:"purl,omitempty"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// inside says what a package is made of: its programs, the modules that are linked into each by their own word, and
// the Debian packages that it needs.
func inside(p deb, programs string, at time.Time) ([]byte, error) {
	self := component{Type: "application", Ref: "pkg:deb/stepaway/" + p.Name + "@" + p.Version, Name: p.Name, Version: p.Version,
		PURL: "pkg:deb/stepaway/" + p.Name + "@" + p.Version + "?arch=amd64"}
	b := bom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{at.UTC().Format(time.RFC3339), self}}
	all := map[string]component{}
	top := dependency{Ref: self.Ref}
	for _, name := range p.Programs {
		program, parts, err := linked(filepath.Join(programs, name), p.Version)
		if err != nil {
			return nil, err
		}
		all[program.Ref] = program
		top.On = append(top.On, program.Ref)
		on := dependency{Ref: program.Ref}
		for _, c := range parts {
			all[c.Ref] = c
			on.On = append(on.On, c.Ref)
		}
		b.Dependencies = append(b.Dependencies, on)
	}
	for _, need := range p.Depends {
		name, _, _ := strings.Cut(need, " ")
		ref := "pkg:deb/debian/" + name
		all[ref] = component{Type: "library", Ref: ref, Name: name, PURL: ref, Properties: []property{{"debian:depends", need}}}
		top.On = append(top.On, ref)
	}
	b.Dependencies = append(b.Dependencies, top)
	for _, ref := range slices.Sorted(maps.Keys(all)) {
		b.Components = append(b.Components, all[ref])
	}
	return json.MarshalIndent(b, "", "  ")
}

// linked is a program and what is linked into it, as `go version -m` says.
func linked(path, version string) (program component, parts []component, err error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return program, nil, fmt.Errorf("what is in %s: %w", path, err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return program, nil, err
	}
	sum := sha256.Sum256(body)
	name := filepath.Base(path)
	program = component{Type: "application", Ref: "file:" + name, Name: name, Version: version,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}}
	std := "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")
	parts = []component{{Type: "library", Ref: std, Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), PURL: std}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		parts = append(parts, component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl,
			Properties: []property{{"go:sum", m.Sum}}})
	}
	return program, parts, nil
}
