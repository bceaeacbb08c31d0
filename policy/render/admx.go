package render

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"stepaway/policy"
)

// folder is the category that holds all others.
const folder = "stepaway"

// template is an ADMX file, in the order that its format asks for.
type template struct {
	XMLName    xml.Name         `xml:"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions policyDefinitions"`
	Revision   string           `xml:"revision,attr"`
	Schema     string           `xml:"schemaVersion,attr"`
	Target     target           `xml:"policyNamespaces>target"`
	Resources  resources        `xml:"resources"`
	Supported  []named          `xml:"supportedOn>definitions>definition"`
	Categories []category       `xml:"categories>category"`
	Policies   []templatePolicy `xml:"policies>policy"`
}

type target struct {
	Prefix    string `xml:"prefix,attr"`
	Namespace string `xml:"namespace,attr"`
}

type resources struct {
	Least string `xml:"minRequiredRevision,attr"`
}

type named struct {
	Name  string `xml:"name,attr"`
	Title string `xml:"displayName,attr"`
}

type category struct {
	named
	Parent *ref `xml:"parentCategory"`
}

type ref struct {
	Name string `xml:"ref,attr"`
}

type templatePolicy struct {
	Name         string    `xml:"name,attr"`
	Class        string    `xml:"class,attr"`
	Title        string    `xml:"displayName,attr"`
	Help         string    `xml:"explainText,attr"`
	Presentation string    `xml:"presentation,attr,omitempty"`
	Key          string    `xml:"key,attr"`
	Value        string    `xml:"valueName,attr,omitempty"`
	Parent       ref       `xml:"parentCategory"`
	Supported    ref       `xml:"supportedOn"`
	Enabled      *number   `xml:"enabledValue>decimal"`
	Disabled     *number   `xml:"disabledValue>decimal"`
	Elements     *elements `xml:"elements"`
}

type number struct {
	Value int64 `xml:"value,attr"`
}

type elements struct{ Each []element }

// element is any of decimal, text, multiText, enum and list.
type element struct {
	XMLName    xml.Name
	ID         string     `xml:"id,attr"`
	Key        string     `xml:"key,attr,omitempty"`
	Value      string     `xml:"valueName,attr,omitempty"`
	Required   bool       `xml:"required,attr,omitempty"`
	Min        *int64     `xml:"minValue,attr"`
	Max        *int64     `xml:"maxValue,attr"`
	MaxLength  int        `xml:"maxLength,attr,omitempty"`
	MaxStrings int        `xml:"maxStrings,attr,omitempty"`
	Explicit   bool       `xml:"explicitValue,attr,omitempty"`
	Items      []enumItem `xml:"item"`
}

type enumItem struct {
	Title string `xml:"displayName,attr"`
	Text  string `xml:"value>string"`
}

// ADMX is the Group Policy template of every setting, for computers. It holds no text for people: see ADML.
func ADMX() []byte {
	t := template{Revision: revision(), Schema: "1.0", Target: target{"stepaway", "Stepaway.Policies"},
		Resources:  resources{revision()},
		Categories: []category{{named: named{folder, text("category_" + folder)}}}}
	for _, s := range policy.Sections {
		t.Categories = append(t.Categories, category{named{s.Key, text("category_" + s.Key)}, &ref{folder}})
	}
	for _, since := range releases() {
		id := sinceID(since)
		t.Supported = append(t.Supported, named{id, text(id)})
	}
	for _, d := range policy.Definitions {
		t.Policies = append(t.Policies, policyOf(d))
	}
	return encode(t)
}

func policyOf(d policy.Definition) templatePolicy {
	key, value := place(d)
	p := templatePolicy{Name: id(d.Key), Class: "Machine", Title: text(id(d.Key)), Help: text(id(d.Key) + "_help"),
		Key: key, Parent: ref{folder}, Supported: ref{sinceID(d.Since)}}
	if section, _, nested := strings.Cut(d.Key, "."); nested {
		p.Parent.Name = section
	}
	if d.Kind == policy.KindSwitch {
		p.Value, p.Enabled, p.Disabled = value, &number{1}, &number{0}
		return p
	}
	p.Presentation = "$(presentation." + id(d.Key) + ")"
	p.Elements = &elements{}
	if d.Kind != policy.KindEntries {
		p.Elements.Each = []element{elementOf(d, value)}
		return p
	}
	for _, f := range inRegistry(d) {
		p.Elements.Each = append(p.Elements.Each, element{XMLName: local("list"), ID: f.Key, Key: key + `\` + f.Key, Explicit: true})
	}
	return p
}

// elementOf is what is asked for where a setting is one value.
func elementOf(d policy.Definition, value string) element {
	e := element{ID: value, Value: value, Required: true}
	switch d.Kind {
	case policy.KindDuration:
		low, high := inSeconds(d.Min), inSeconds(d.Max)
		if d.OrZero {
			low = 0
		}
		e.XMLName, e.Min, e.Max = local("decimal"), &low, &high
	case policy.KindNumber:
		low, high := int64(0), int64(d.Most)
		e.XMLName, e.Min, e.Max = local("decimal"), &low, &high
	case policy.KindWord:
		e.XMLName = local("enum")
		for _, w := range d.Words {
			e.Items = append(e.Items, enumItem{text(wordID(d, w)), w})
		}
	case policy.KindText:
		e.XMLName, e.MaxLength = local("text"), cmp.Or(d.Longest, policy.MaxText)
	case policy.KindTexts:
		e.XMLName, e.MaxLength, e.MaxStrings = local("multiText"), policy.MaxText, policy.MaxList
	default:
		panic("render: " + d.Key + ": no element for " + string(d.Kind))
	}
	return e
}

// revision rises with every setting that is added, and none is ever taken away: an older ADML is not taken with a newer ADMX.
func revision() string {
	n := len(policy.Definitions)
	for _, d := range policy.Definitions {
		n += len(d.Fields)
	}
	return fmt.Sprintf("1.%d", n)
}

// releases are those in which settings came, each once.
func releases() []string {
	var out []string
	for _, d := range policy.Definitions {
		if !slices.Contains(out, d.Since) {
			out = append(out, d.Since)
		}
	}
	return out
}

// id is a key as a name in a template, which has letters, digits and underscores.
func id(key string) string { return strings.NewReplacer(".", "_", "-", "_").Replace(key) }

func sinceID(release string) string                  { return "since_" + id(release) }
func wordID(d policy.Definition, word string) string { return id(d.Key) + "_is_" + id(word) }
func text(id string) string                          { return "$(string." + id + ")" }
func local(name string) xml.Name                     { return xml.Name{Local: name} }

// encode writes XML with a line for every element.
func encode(v any) []byte {
	b := bytes.NewBufferString(`<?xml version="1.0" encoding="utf-8"?>` + "\n")
	e := xml.NewEncoder(b)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil {
		panic("render: " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}
