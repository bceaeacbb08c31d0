// Package render writes the table of settings out: Group Policy templates, a schema, an example and a reference. It knows no
// setting by itself, so that nothing generated can differ from what the agent reads.
//
// Failure rules: it is pure and cannot fail; a table that it cannot write is a fault of the program, and panics. The files in
// the tree are compared with it by a test.
package render

//go:generate go run ./write

import (
	"path"
	"strings"

	"stepaway/policy"
)

// File is one generated file.
type File struct {
	Path string // in the tree, with slashes
	Text []byte
}

// Files is everything that is generated.
func Files() []File {
	const dir = "packaging/policy"
	fs := []File{{path.Join(dir, "stepaway.admx"), ADMX()}}
	for _, l := range languages {
		fs = append(fs, File{path.Join(dir, l.code, "stepaway.adml"), ADML(l.code)})
	}
	return append(fs,
		File{path.Join(dir, "policy.schema.json"), Schema()},
		File{path.Join(dir, "policy.yaml"), Example()},
		File{"docs/policy.md", Reference()})
}

// place is where a setting stands below HKEY_LOCAL_MACHINE. One that has entries is a key of its own and no value.
func place(d policy.Definition) (key, value string) {
	section, name, nested := strings.Cut(d.Key, ".")
	switch {
	case d.Kind == policy.KindEntries:
		return policy.RegistryRoot + `\` + strings.ReplaceAll(d.Key, ".", `\`), ""
	case nested:
		return policy.RegistryRoot + `\` + section, name
	default:
		return policy.RegistryRoot, d.Key
	}
}

// inRegistry are the fields of entries that stand in the registry: all but the name, which is the name of their values.
func inRegistry(d policy.Definition) []policy.Definition { return d.Fields[1:] }
