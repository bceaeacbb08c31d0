package sink

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"stepaway/audit"
)

// Kind of a sink.
type Kind string

// The kinds.
const (
	Syslog Kind = "syslog" // RFC 5424 over TLS, events as structured data
	ATNA   Kind = "atna"   // RFC 5424 over TLS, events as DICOM audit messages
	FHIR   Kind = "fhir"   // FHIR R4 AuditEvent
	OTLP   Kind = "otlp"   // OpenTelemetry logs over HTTP
)

// System as Spec.CA trusts the certificate authorities of the operating system.
const System = "system"

// What a syslog receiver has to do for a batch to count as read.
const (
	AckNotify = "close-notify" // answer the end of the TLS connection with its own
	AckFIN    = "fin"          // end the TCP connection in order
	AckNone   = "none"         // nothing
)

// How events go to a FHIR server.
const (
	Batch  = "batch"  // a Bundle of type batch
	Single = "single" // one request an event
)

// Spec is what the site says of one sink.
type Spec struct {
	Name       string   `json:"name"`
	Kind       Kind     `json:"kind"`
	URL        *url.URL `json:"-"`
	CA         string   `json:"ca"` // file, or System
	Cert       string   `json:"cert,omitempty"`
	Key        string   `json:"key,omitempty"`
	Headers    string   `json:"headers,omitempty"` // file of lines NAME: VALUE
	ServerName string   `json:"server_name,omitempty"`
	TLS        string   `json:"tls"` // least version: 1.2 or 1.3
	Size       int      `json:"batch"`
	Types      []string `json:"types,omitempty"` // none: every type; a type, or a prefix such as lock.*
	Ack        string   `json:"ack,omitempty"`
	Form       string   `json:"form,omitempty"`
	Gzip       bool     `json:"gzip,omitempty"`
	Enterprise uint32   `json:"enterprise,omitempty"`
	Fresh      bool     `json:"fresh,omitempty"` // at a collector: begins with what comes, not with what is held

	places map[string]Problem // where each key stands
}

// Wants reports whether the sink is to have events of a type.
func (s Spec) Wants(t audit.Type) bool {
	return len(s.Types) == 0 || slices.ContainsFunc(s.Types, func(p string) bool { return covers(p, t) })
}

func covers(pattern string, t audit.Type) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(string(t), prefix)
	}
	return pattern == string(t)
}

// Problem is one thing that is wrong with a file of sinks. Line and column count from 1.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Sink   string `json:"sink,omitempty"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"`
}

func (p Problem) String() string {
	where := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Key != "" {
		where += p.Key + ": "
	}
	return where + p.Text
}

// Problems are all of them, in the order of the file.
type Problems []Problem

func (ps Problems) Error() string {
	var lines []string
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Bounds of a file of sinks.
const (
	MaxFile  = 64 << 10
	maxSinks = 8
	minBatch = 10
	maxBatch = 500
	defBatch = 100
)

// Parse reads a file of sinks and answers everything that is wrong with it as Problems. It opens no other file: see Check.
func Parse(name string, text []byte) ([]Spec, error) {
	p := &parser{file: name}
	p.document(text)
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.specs, nil
}

// Check is Parse, and opens every file that the sinks name.
func Check(name string, text []byte) ([]Spec, error) {
	specs, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	var problems Problems
	for _, s := range specs {
		problems = append(problems, s.checkFiles()...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return specs, nil
}

type parser struct {
	file     string
	specs    []Spec
	problems Problems
}

func (p *parser) place(n *yaml.Node) Problem {
	pr := Problem{File: p.file, Line: 1, Column: 1}
	if n != nil && n.Line > 0 {
		pr.Line, pr.Column = n.Line, n.Column
	}
	return pr
}

func (p *parser) wrong(n *yaml.Node, sink, key, format string, args ...any) {
	pr := p.place(n)
	pr.Sink, pr.Key, pr.Text = sink, key, fmt.Sprintf(format, args...)
	p.problems = append(p.problems, pr)
}

func (p *parser) document(text []byte) {
	if len(text) > MaxFile {
		p.wrong(nil, "", "", "larger than %d bytes", MaxFile)
		return
	}
	var doc, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		p.wrong(nil, "", "", "empty; want a list called sinks")
		return
	} else if err != nil {
		p.notYAML(err)
		return
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		p.wrong(&second, "", "", "more than one document")
		return
	}
	root := doc.Content[0]
	if fancy(root) {
		p.wrong(root, "", "", "anchors, aliases, tags and merge keys are not allowed")
		return
	}
	p.root(root)
}

var yamlLine = regexp.MustCompile(`line ([1-9][0-9]{0,8}): `)

func (p *parser) notYAML(err error) {
	n := &yaml.Node{Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
	}
	p.wrong(n, "", "", "not YAML: %s", strconv.QuoteToASCII(strings.TrimPrefix(err.Error(), "yaml: ")))
}

func fancy(n *yaml.Node) bool {
	plain := n.Style&yaml.TaggedStyle == 0 && n.Anchor == "" && n.Kind != yaml.AliasNode && n.Tag != "!!merge"
	return !plain || slices.ContainsFunc(n.Content, fancy)
}

func (p *parser) root(n *yaml.Node) {
	var list *yaml.Node
	p.pairs(n, "", "sinks", func(key, value *yaml.Node) {
		if key.Value != "sinks" {
			p.wrong(key, "", printable(key.Value), "no such key; want sinks")
			return
		}
		list = value
	})
	switch {
	case len(p.problems) > 0:
	case list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0:
		p.wrong(cmp.Or(list, n), "", "sinks", "want a list of sinks")
	case len(list.Content) > maxSinks:
		p.wrong(list.Content[maxSinks], "", "sinks", "at most %d sinks", maxSinks)
	default:
		for _, c := range list.Content {
			p.sink(c)
		}
	}
}

// pairs calls f for each key of a mapping, once.
func (p *parser) pairs(n *yaml.Node, sink, what string, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n, sink, "", "want a mapping with %s", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			p.wrong(key, sink, printable(key.Value), "written twice")
			continue
		}
		seen[key.Value] = true
		f(key, n.Content[i+1])
	}
}

func printable(s string) string {
	q := strconv.QuoteToASCII(s[:min(len(s), 64)])
	return q[1 : len(q)-1]
}

// sink reads one entry of the list: first what kind it is, then the keys that kind has.
func (p *parser) sink(n *yaml.Node) {
	s := Spec{TLS: "1.2", Size: defBatch, Ack: AckNotify, Form: Batch, places: map[string]Problem{"": p.place(n)}}
	before := len(p.problems)
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch v := n.Content[i+1].Value; n.Content[i].Value {
			case "kind":
				s.Kind = Kind(v)
			case "name":
				s.Name = printable(v)
			}
		}
	}
	p.pairs(n, s.Name, "name, kind, url and ca", func(key, value *yaml.Node) { p.key(&s, key, value) })
	if len(p.problems) == before {
		p.whole(n, &s)
	}
	if slices.ContainsFunc(p.specs, func(o Spec) bool { return o.Name == s.Name }) {
		p.wrong(n, s.Name, "name", "another sink has this name")
	}
	p.specs = append(p.specs, s)
}

func (p *parser) key(s *Spec, key, value *yaml.Node) {
	name := printable(key.Value)
	k, known := keys[key.Value]
	switch {
	case !known:
		p.wrong(key, s.Name, name, "no such key")
		return
	case k.kinds != nil && !slices.Contains(k.kinds, s.Kind):
		p.wrong(key, s.Name, name, "not for kind %s", printable(string(s.Kind)))
		return
	}
	s.places[key.Value] = p.place(value)
	if k.list != nil {
		p.list(s, key, value, k)
		return
	}
	if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
		p.wrong(value, s.Name, name, "want %s", k.want)
		return
	}
	if err := k.set(s, value.Value); err != nil {
		p.wrong(value, s.Name, name, "%v; want %s", err, k.want)
	}
}

func (p *parser) list(s *Spec, key, value *yaml.Node, k keyRule) {
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		p.wrong(value, s.Name, key.Value, "want %s", k.want)
		return
	}
	for _, c := range value.Content {
		err := errValue
		if c.Kind == yaml.ScalarNode {
			err = k.list(s, c.Value)
		}
		if err != nil {
			p.wrong(c, s.Name, key.Value, "%v; want %s", err, k.want)
		}
	}
}

// whole checks what no key can be checked for alone.
func (p *parser) whole(n *yaml.Node, s *Spec) {
	for _, key := range []string{"name", "kind", "url", "ca"} {
		if _, set := s.places[key]; !set {
			p.wrong(n, s.Name, key, "missing; want %s", keys[key].want)
		}
	}
	if (s.Cert == "") != (s.Key == "") {
		p.wrong(n, s.Name, "cert", "cert and key go together")
	}
	if s.URL == nil {
		return
	}
	if err := s.checkURL(); err != nil {
		pr := s.places["url"]
		pr.Sink, pr.Key, pr.Text = s.Name, "url", err.Error()
		p.problems = append(p.problems, pr)
	}
}
