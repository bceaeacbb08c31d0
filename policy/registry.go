package policy

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// RegistryRoot is the key under HKEY_LOCAL_MACHINE, in its 64-bit view, below which group policy writes.
const RegistryRoot = `Software\Policies\Stepaway`

// RegistryName is what the source of a value from there is called.
const RegistryName = `HKLM\` + RegistryRoot

// Types of registry values, as Windows numbers them.
const (
	RegistrySZ       = 1
	RegistryExpandSZ = 2
	RegistryDWord    = 4
	RegistryMultiSZ  = 7
)

// Limits on what is taken from the registry, above what a site needs.
const (
	MaxRegistryValues = 8192
	MaxRegistryDepth  = 4 // of subkeys below the root
)

// RegistryValue is one value as the registry holds it.
type RegistryValue struct {
	Key  string // the subkey below RegistryRoot, like `roles\limit`; "" for the root itself
	Name string
	Type uint32
	Data []byte
}

// FromRegistry makes a document of the values below RegistryRoot, for Parse. A key a.b of the table is value b of subkey a.
// Field f of the entries of a setting s is subkey s\f: one value for each entry, by its name, with the text that would stand in
// a policy file, the elements of a list separated by |. Case is ignored, but in texts; an entry is spelled as in the first of its fields.
//
// All that is wrong is in the error, a Problems, and then there is no document.
func FromRegistry(values []RegistryValue) (Document, error) {
	doc := Document{Name: RegistryName, Made: true}
	r := reading{root: mapping()}
	if size(values) > MaxFile || len(values) > MaxRegistryValues {
		return Document{}, Problems{{File: RegistryName, Text: fmt.Sprintf("more than %d values or %d KiB", MaxRegistryValues, MaxFile>>10)}}
	}
	for _, v := range ordered(values) {
		if !v.empty() {
			r.add(v)
		}
	}
	r.addEntries()
	if len(r.root.Content) > 0 {
		text, err := yaml.Marshal(r.root)
		if err != nil {
			return Document{}, fmt.Errorf("%s: %w", RegistryName, err) // made of strings and maps: cannot be
		}
		doc.Text = text
	}
	if len(r.problems) > 0 {
		return Document{}, append(r.problems, wrongIn(doc)...)
	}
	return doc, nil
}

// wrongIn says what is wrong in a document by itself, so that all is said at once.
func wrongIn(doc Document) Problems {
	p := parser{into: &Loaded{Policy: Default(), Source: map[string]string{}}, places: map[string]Problem{}, doc: doc}
	p.document(doc.Text)
	return p.problems
}

func size(values []RegistryValue) int {
	n := 0
	for _, v := range values {
		n += len(v.Key) + len(v.Name) + len(v.Data)
	}
	return n
}

// ordered sorts by names without case: the registry has no order.
func ordered(values []RegistryValue) []RegistryValue {
	out := slices.Clone(values)
	slices.SortStableFunc(out, func(a, b RegistryValue) int {
		return cmp.Or(strings.Compare(fold(a.Key), fold(b.Key)), strings.Compare(fold(a.Name), fold(b.Name)))
	})
	return out
}

func fold(s string) string { return strings.ToLower(s) }

// reading is the document in the making.
type reading struct {
	root     *yaml.Node
	cells    []cell
	problems Problems
}

// cell is one field of one entry of a setting.
type cell struct {
	setting, field string
	name           string // of the entry, as it is spelled here
	value          *yaml.Node
}

func (r *reading) wrong(v RegistryValue, err error) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{File: RegistryName, Key: v.place(), Text: err.Error()})
	}
}

// place is where v stands below the root.
func (v RegistryValue) place() string {
	name := v.Name
	if name == "" {
		name = "(Default)"
	}
	if v.Key != "" {
		name = v.Key + `\` + name
	}
	return printable(name)
}

// add puts one value where it belongs.
func (r *reading) add(v RegistryValue) {
	if err := v.named(); err != nil {
		r.wrong(v, err)
		return
	}
	path := strings.Split(fold(v.Key), `\`)
	if v.Key == "" {
		path = nil
	}
	key := append(slices.Clone(path), fold(v.Name))
	for i := range key {
		d, ok := find(strings.Join(key[:i+1], "."))
		switch {
		case !ok || d.Kind != KindEntries:
			continue
		case i == len(key)-3:
			r.addCell(v, d, key[i+1])
		default:
			r.wrong(v, errorf(`says nothing here; write it like %s\%s, with the name of an entry`, d.Key, d.Fields[1].Key))
		}
		return
	}
	d, _ := find(strings.Join(key, "."))
	n, err := v.node(d.Kind)
	if err != nil {
		r.wrong(v, err)
		return
	}
	put(section(r.root, path), fold(v.Name), n)
}

// addCell keeps one field of an entry of d.
func (r *reading) addCell(v RegistryValue, d Definition, field string) {
	f, _ := findIn(d.Fields, field)
	n, err := v.cell(f.Kind)
	if err != nil {
		r.wrong(v, err)
		return
	}
	r.cells = append(r.cells, cell{d.Key, field, v.Name, n})
}

// empty is a key's default value without a text, as some programs leave it behind.
func (v RegistryValue) empty() bool {
	return v.Name == "" && v.Type == RegistrySZ && strings.Trim(string(v.Data), "\x00") == ""
}

// named refuses a name that could not be said or told apart.
func (v RegistryValue) named() error {
	switch {
	case v.Name == "":
		return errorf("the default value of a key says nothing; delete it")
	case !utf8.ValidString(v.Name+v.Key) || unprintable(v.Name+v.Key):
		return errorf("the name holds a character that cannot be printed")
	case len(v.Name) > MaxText:
		return errorf("the name is longer than %d bytes", MaxText)
	case strings.Count(v.Key, `\`) >= MaxRegistryDepth:
		return errorf("nothing is set so deep")
	}
	return nil
}

func unprintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0
}

// addEntries makes the lists of the cells.
func (r *reading) addEntries() {
	for _, d := range Definitions {
		mine := slices.DeleteFunc(slices.Clone(r.cells), func(c cell) bool { return c.setting != d.Key })
		if len(mine) == 0 {
			continue
		}
		rank := func(c cell) int {
			return slices.IndexFunc(d.Fields, func(f Definition) bool { return f.Key == c.field })
		}
		slices.SortStableFunc(mine, func(a, b cell) int {
			return cmp.Or(strings.Compare(fold(a.name), fold(b.name)), cmp.Compare(rank(a), rank(b)))
		})
		path := strings.Split(d.Key, ".")
		put(section(r.root, path[:len(path)-1]), path[len(path)-1], list(mine))
	}
}

// list makes entries of cells that stand in the order of the entries' names.
func list(cells []cell) *yaml.Node {
	l := &yaml.Node{Kind: yaml.SequenceNode}
	last := ""
	for i, c := range cells {
		if i == 0 || fold(c.name) != last {
			last = fold(c.name)
			e := mapping()
			put(e, "name", textNode(c.name))
			l.Content = append(l.Content, e)
		}
		put(l.Content[len(l.Content)-1], c.field, c.value)
	}
	return l
}

// node is the value of a setting of a kind, "" where the table has none: that is for Parse to say.
func (v RegistryValue) node(k Kind) (*yaml.Node, error) {
	switch v.Type {
	case RegistryDWord:
		return v.numberNode(k)
	case RegistrySZ, RegistryExpandSZ:
		if k == KindNumber || k == KindSwitch || k == KindTexts {
			return nil, v.mistyped(k)
		}
		s, err := v.text()
		return textNode(s), err
	case RegistryMultiSZ:
		if k != KindTexts && k != "" {
			return nil, v.mistyped(k)
		}
		ss, err := v.texts()
		return listNode(ss), err
	}
	return nil, v.mistyped(k)
}

func (v RegistryValue) numberNode(k Kind) (*yaml.Node, error) {
	if len(v.Data) != 4 {
		return nil, errorf("a REG_DWORD of %d bytes", len(v.Data))
	}
	n := binary.LittleEndian.Uint32(v.Data)
	switch {
	case k == KindDuration:
		return textNode(Duration(time.Duration(n) * time.Second)), nil
	case k == KindNumber || k == "":
		return textNode(strconv.FormatUint(uint64(n), 10)), nil
	case k == KindSwitch && n <= 1:
		return textNode(strconv.FormatBool(n == 1)), nil
	case k == KindSwitch:
		return nil, errorf("%d is not 0 or 1", n)
	}
	return nil, v.mistyped(k)
}

// cell is the value of a field of a kind.
func (v RegistryValue) cell(k Kind) (*yaml.Node, error) {
	if v.Type != RegistrySZ && v.Type != RegistryExpandSZ {
		return nil, errorf("%s; write it as REG_SZ", typeName(v.Type))
	}
	s, err := v.text()
	if k != KindTexts || err != nil {
		return textNode(s), err
	}
	var ss []string
	if s != "" {
		for _, e := range strings.Split(s, "|") {
			ss = append(ss, strings.TrimSpace(e))
		}
	}
	return listNode(ss), nil
}

func (v RegistryValue) mistyped(k Kind) error {
	want := map[Kind]string{KindDuration: "REG_DWORD in seconds", KindNumber: "REG_DWORD", KindSwitch: "REG_DWORD, 0 or 1",
		KindTexts: "REG_MULTI_SZ"}[k]
	if want == "" {
		want = "REG_SZ"
	}
	return errorf("%s; write it as %s", typeName(v.Type), want)
}

func typeName(t uint32) string {
	names := []string{"REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_LINK", "REG_MULTI_SZ"}
	if t == 11 {
		return "REG_QWORD"
	}
	if int64(t) < int64(len(names)) {
		return names[t]
	}
	return fmt.Sprintf("type %d", t)
}

// text of a REG_SZ. What a registry value may hold and a policy not is refused here, where it has a name.
func (v RegistryValue) text() (string, error) {
	ss, err := v.strings()
	switch {
	case err != nil:
		return "", err
	case len(ss) != 1:
		return "", errorf("the text goes on after its end")
	}
	return ss[0], nil
}

// texts of a REG_MULTI_SZ. It ends with an empty one, and may be nothing else.
func (v RegistryValue) texts() ([]string, error) {
	ss, err := v.strings()
	if err != nil {
		return nil, err
	}
	if len(ss) == 2 && ss[0] == "" {
		ss = ss[1:]
	}
	if ss[len(ss)-1] != "" {
		return nil, errorf("the list has no end")
	}
	return ss[:len(ss)-1], nil
}

// strings are one or more, each of which has an end.
func (v RegistryValue) strings() ([]string, error) {
	if len(v.Data)%2 != 0 {
		return nil, errorf("half a character at its end")
	}
	u := make([]uint16, len(v.Data)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(v.Data[2*i:])
	}
	if len(u) == 0 || u[len(u)-1] != 0 {
		return nil, errorf("the text has no end")
	}
	rs := utf16.Decode(u[:len(u)-1])
	if !slices.Equal(utf16.Encode(rs), u[:len(u)-1]) {
		return nil, errorf("not UTF-16 text")
	}
	ss := strings.Split(string(rs), "\x00")
	for _, s := range ss {
		if unprintable(s) {
			return nil, errorf("%q holds a character that cannot be printed", printable(s))
		}
	}
	return ss, nil
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

func listNode(ss []string) *yaml.Node {
	l := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range ss {
		l.Content = append(l.Content, textNode(s))
	}
	return l
}

func put(m *yaml.Node, name string, value *yaml.Node) {
	m.Content = append(m.Content, textNode(name), value)
}

// section finds the mapping at path below m, or makes it. A value of the same name stands beside it, for Parse to refuse.
func section(m *yaml.Node, path []string) *yaml.Node {
	for _, name := range path {
		var next *yaml.Node
		for i := 0; i+1 < len(m.Content); i += 2 {
			if m.Content[i].Value == name && m.Content[i+1].Kind == yaml.MappingNode {
				next = m.Content[i+1]
			}
		}
		if next == nil {
			next = mapping()
			put(m, name, next)
		}
		m = next
	}
	return m
}
