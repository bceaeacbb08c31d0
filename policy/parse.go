package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest policy file in bytes.
const MaxFile = 256 << 10

// Limits on lists and texts, far above what a site needs.
const (
	MaxList     = 256  // elements or entries
	MaxText     = 1024 // bytes
	maxProblems = 100  // of one document; nobody reads more at once
)

// Problem is one thing that is wrong in a policy file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // 1.., 0 where there are no lines
	Column int    `json:"column"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"` // what is wrong and what to write instead
}

func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Key != "" {
		where += ": " + p.Key
	}
	return where + ": " + p.Text
}

// Problems is the error of a policy that was not taken.
type Problems []Problem

func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", ps[0], len(ps)-1)
}

// Document is the text of one policy file.
type Document struct {
	Name string `json:"name"`
	Text []byte `json:"text"`
	Made bool   `json:"made,omitempty"` // written by FromRegistry and by nobody's hand: its lines mean nothing to a reader
}

// Loaded is a policy with the source of each value.
type Loaded struct {
	Policy Policy
	Source map[string]string // key to the document's name; absent: built-in default
}

// Parse reads documents in order, later ones over earlier ones, over the default. Either every value of
// every document is right, and they fit together, or nothing is taken and all that is wrong is in the error, a Problems.
func Parse(docs []Document) (Loaded, error) {
	l := Loaded{Policy: Default(), Source: map[string]string{}}
	places := map[string]Problem{}
	var all Problems
	for _, d := range docs {
		p := parser{into: &l, places: places, doc: d}
		p.document(d.Text)
		all = append(all, p.problems...)
	}
	if len(all) == 0 {
		all = l.Policy.misfits(places)
	}
	if len(all) > 0 {
		return Loaded{}, all
	}
	return l, nil
}

// misfits says which values are right by themselves and not together. places tells where each was set.
func (p *Policy) misfits(places map[string]Problem) Problems {
	var out Problems
	wrong := func(key, format string, args ...any) {
		at := places[key]
		at.Key, at.Text = key, errorf(format, args...).Error()
		out = append(out, at)
	}
	if p.Class != "" && p.class() == nil {
		wrong("class", "no class %q; those that are defined: %s", p.Class, listed(p.Classes))
	}
	if p.Approval.Required && p.Approval.AllowedSigners == "" {
		wrong("approval.required", "needs approval.allowed_signers, or nothing could ever be approved")
	}
	return out
}

func listed(cs []Class) string {
	names := []string{}
	for _, c := range cs {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

type parser struct {
	into     *Loaded
	places   map[string]Problem // where each key was set last
	doc      Document
	problems Problems
}

// place is where n stands.
func (p *parser) place(n *yaml.Node) Problem {
	pr := Problem{File: p.doc.Name}
	if !p.doc.Made {
		pr.Line, pr.Column = 1, 1
		if n != nil && n.Line > 0 {
			pr.Line, pr.Column = n.Line, n.Column
		}
	}
	return pr
}

func (p *parser) wrong(n *yaml.Node, key string, err error) {
	var each several
	if errors.As(err, &each) {
		for _, e := range each {
			p.wrong(n, key, e)
		}
		return
	}
	if len(p.problems) == maxProblems {
		return
	}
	var at *located
	if errors.As(err, &at) {
		n = at.node
	}
	pr := p.place(n)
	pr.Key, pr.Text = key, err.Error()
	p.problems = append(p.problems, pr)
}

func (p *parser) document(text []byte) {
	if err := plainText(text); err != nil {
		p.wrong(nil, "", err)
		return
	}
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return // an empty file sets nothing
	}
	if err != nil {
		p.wrong(nil, "", notYAML(err))
		return
	}
	if err := d.Decode(&second); err != nil && !errors.Is(err, io.EOF) {
		p.wrong(nil, "", notYAML(err))
		return
	} else if err == nil {
		p.wrong(&second, "", errorf("a second document begins here; a policy file holds one"))
		return
	}
	if n := fancy(&doc); n != nil {
		p.wrong(n, "", errorf("anchors, aliases, tags and merge keys are not allowed in a policy"))
		return
	}
	p.section(doc.Content[0], "")
}

// notYAML gives the decoder's error the place that it names.
func notYAML(err error) error {
	text, n := strings.TrimPrefix(err.Error(), "yaml: "), &yaml.Node{Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	return &located{errorf("not YAML: %s", printable(text)), n}
}

var yamlLine = regexp.MustCompile(`^line ([1-9][0-9]{0,8}): `)

// section takes one mapping, whose keys stand under prefix.
func (p *parser) section(n *yaml.Node, prefix string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	fields, err := fieldsOf(n)
	if err != nil {
		p.wrong(n, strings.TrimSuffix(prefix, "."), err)
	}
	for _, f := range fields {
		key := prefix + f.name
		d, known := find(key)
		switch {
		case strings.Contains(f.name, "."):
			p.wrong(f.key, "", errorf("unknown key %q; write a section, like lock: {proof: locker}", printable(f.name)))
		case known:
			if err := d.take(&p.into.Policy, f.value); err != nil {
				p.wrong(f.value, key, err)
				continue
			}
			p.into.Source[key], p.places[key] = p.doc.Name, p.place(f.value)
		case isSection(key):
			p.section(f.value, key+".")
		default:
			p.wrong(f.key, "", errorf("unknown key %q; known here: %s", printable(f.name), strings.Join(keysUnder(prefix), ", ")))
		}
	}
}

func find(key string) (Definition, bool) { return findIn(Definitions, key) }

func findIn(defs []Definition, key string) (Definition, bool) {
	for _, d := range defs {
		if d.Key == key {
			return d, true
		}
	}
	return Definition{}, false
}

func isSection(key string) bool {
	return slices.ContainsFunc(Definitions, func(d Definition) bool { return strings.HasPrefix(d.Key, key+".") })
}

// keysUnder lists what may stand directly under prefix.
func keysUnder(prefix string) []string {
	var ks []string
	for _, d := range Definitions {
		rest, ok := strings.CutPrefix(d.Key, prefix)
		if !ok {
			continue
		}
		k, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(ks, k) {
			ks = append(ks, k)
		}
	}
	return ks
}

// located is an error that belongs to another node than the one that was being read.
type located struct {
	error
	node *yaml.Node
}

// several is more than one error of one value.
type several []error

func (s several) Error() string { return errors.Join(s...).Error() }

func (s several) orNil() error {
	if len(s) == 0 {
		return nil
	}
	return s
}

// at gives err the place n, unless it has one.
func at(err error, n *yaml.Node) error {
	switch err.(type) {
	case nil, *located, several:
		return err
	}
	return &located{err, n}
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

type field struct {
	name       string
	key, value *yaml.Node
}

// fieldsOf reads a mapping; a key that stands twice is an error, and the first one is kept.
func fieldsOf(n *yaml.Node) ([]field, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errorf("expected keys and values here")
	}
	var fs []field
	var wrong several
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			wrong = append(wrong, &located{errorf("a key must be a word"), k})
		case seen[k.Value]:
			wrong = append(wrong, &located{errorf("key %q stands twice", printable(k.Value)), k})
		default:
			seen[k.Value] = true
			fs = append(fs, field{k.Value, k, n.Content[i+1]})
		}
	}
	return fs, wrong.orNil()
}

func durationOf(n *yaml.Node, low, high time.Duration, orZero bool) (time.Duration, error) {
	s, err := textOf(n)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errorf("%q is not a duration; write it like 15m or 30s", printable(s))
	}
	if orZero && d == 0 {
		return 0, nil
	}
	if d < low || d > high {
		return 0, errorf("%s is out of bounds; from %s to %s is allowed", Duration(d), Duration(low), Duration(high))
	}
	return d, nil
}

func wordOf(n *yaml.Node, words []string) (string, error) {
	s, err := textOf(n)
	if err != nil {
		return "", err
	}
	if !slices.Contains(words, s) {
		return "", errorf("%q is not one of %s", printable(s), strings.Join(words, ", "))
	}
	return s, nil
}

func textOf(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", errorf("expected one value here, not a list or a section")
	}
	if len(n.Value) > MaxText {
		return "", errorf("longer than %d bytes", MaxText)
	}
	if n.Tag == "!!null" {
		return "", errorf("the value is missing")
	}
	if strings.IndexFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return "", errorf("%q holds a character that cannot be printed", printable(n.Value))
	}
	return n.Value, nil
}

func numberOf(n *yaml.Node, most int) (int, error) {
	s, err := textOf(n)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil || v > uint64(most) {
		return 0, errorf("%q is not a whole number from 0 to %d", printable(s), most)
	}
	return int(v), nil
}

func textsOf(n *yaml.Node, check func(i int, s string) error) ([]string, error) {
	items, err := itemsOf(n)
	if err != nil {
		return nil, err
	}
	var out []string
	for i, c := range items {
		s, err := textOf(c)
		if err == nil && s == "" {
			err = errorf("empty")
		}
		if err == nil {
			err = check(i, s)
		}
		if err != nil {
			return nil, &located{err, c}
		}
		out = append(out, s)
	}
	return out, nil
}

func itemsOf(n *yaml.Node) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errorf("expected a list here, like [a, b]")
	}
	if len(n.Content) > MaxList {
		return nil, errorf("%d entries, at most %d", len(n.Content), MaxList)
	}
	return n.Content, nil
}

// plainText refuses what no editor writes, and what shows a person another text than it says: control
// characters, line ends that few editors show as such, marks that turn the direction of the text.
func plainText(text []byte) error {
	if len(text) > MaxFile {
		return errorf("larger than %d KiB", MaxFile>>10)
	}
	if !utf8.Valid(text) {
		return errorf("not UTF-8 text")
	}
	line, column := 1, 1
	for i, r := range string(text) {
		if !plainRune(r) || (r == '\r' && !bytes.HasPrefix(text[i+1:], []byte("\n"))) {
			return &located{errorf("holds the character %U; save it as plain text in UTF-8", r), &yaml.Node{Line: line, Column: column}}
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

func plainRune(r rune) bool {
	switch {
	case r == '\n', r == '\r', r == '\t':
		return true
	case unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == '\ufeff':
		return false
	}
	return !unicode.IsControl(r)
}

// fancy finds the first node that uses what a policy may not.
func fancy(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!merge" {
		return n
	}
	for _, c := range n.Content {
		if f := fancy(c); f != nil {
			return f
		}
	}
	return nil
}

func mustNode(s string) *yaml.Node {
	var n yaml.Node
	if s == "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	}
	if err := yaml.Unmarshal([]byte(s), &n); err != nil {
		panic("policy: " + s + ": " + err.Error())
	}
	return n.Content[0]
}
