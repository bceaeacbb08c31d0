package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"

	"stepaway/policy"
)

// durations is what Go reads as a duration and a policy takes, without the bounds, which no pattern can say.
const durations = `^(\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0)$`

// node is a part of a JSON Schema.
type node struct {
	Dialect     string     `json:"$schema,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        any        `json:"type,omitempty"`
	Enum        []string   `json:"enum,omitempty"`
	Pattern     string     `json:"pattern,omitempty"`
	MinLength   int        `json:"minLength,omitempty"`
	MaxLength   int        `json:"maxLength,omitempty"`
	Minimum     *int       `json:"minimum,omitempty"`
	Maximum     *int       `json:"maximum,omitempty"`
	MinItems    int        `json:"minItems,omitempty"`
	MaxItems    int        `json:"maxItems,omitempty"`
	Items       *node      `json:"items,omitempty"`
	Properties  properties `json:"properties,omitempty"`
	Required    []string   `json:"required,omitempty"`
	Additional  *bool      `json:"additionalProperties,omitempty"`
	Default     any        `json:"default,omitempty"`
	Examples    []any      `json:"examples,omitempty"`
}

type property struct {
	key string
	of  *node
}

// properties keep their order.
type properties []property

func (ps properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, p := range ps {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		b.Write(compact(p.key))
		b.WriteByte(':')
		b.Write(compact(p.of))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Schema is the JSON Schema of policy.yaml, for editors and other programs. What it refuses is written wrongly or not plainly;
// what it takes may still be out of bounds, or not fit together: policy check has the last word.
func Schema() []byte {
	root := document(policy.Definitions)
	root.Dialect, root.Title = "https://json-schema.org/draft/2020-12/schema", "policy.yaml of Stepaway"
	root.Description = "Written from the agent's own table of settings. Bounds of durations, and whether settings fit together, are known to stepaway-agent policy check alone."
	var b bytes.Buffer
	if err := json.Indent(&b, compact(root), "", "  "); err != nil {
		panic("render: " + err.Error())
	}
	return append(bytes.TrimSpace(b.Bytes()), '\n')
}

// compact is JSON on one line, as people write it.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("render: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// document has a section for each section of keys. A section may be empty, and so may the file.
func document(defs []policy.Definition) *node {
	root := object()
	root.Type = []string{"object", "null"}
	sections := map[string]*node{"": root}
	for _, s := range policy.Sections {
		n := object()
		n.Type, n.Title = root.Type, s.Title.En
		sections[s.Key] = n
	}
	for _, d := range defs {
		section, name, nested := strings.Cut(d.Key, ".")
		if !nested {
			section, name = "", d.Key
		} else if into := sections[section]; len(into.Properties) == 0 {
			root.Properties = append(root.Properties, property{section, into})
		}
		into := sections[section]
		into.Properties = append(into.Properties, property{name, setting(d)})
	}
	return root
}

func object() *node {
	no := false
	return &node{Type: "object", Additional: &no}
}

// setting is a value with all that is said of it.
func setting(d policy.Definition) *node {
	n := form(d)
	n.Title = d.Title.En
	n.Description = strings.Join(append([]string{d.Help.En}, english.rules(d)...), " ")
	if ms := english.meanings(d); len(ms) > 0 {
		n.Description += "\n" + strings.Join(ms, "\n")
	}
	if d.Default != "" {
		n.Default = plain(d.Default)
	}
	if d.Example != "" {
		n.Examples = []any{plain(d.Example)}
	}
	return n
}

func form(d policy.Definition) *node {
	switch d.Kind {
	case policy.KindDuration:
		n := &node{Type: "string", Pattern: durations}
		if d.OrZero || d.Min == 0 { // 0 without a unit is a number
			n.Type, n.Minimum, n.Maximum = []string{"string", "integer"}, new(int), new(int)
		}
		return n
	case policy.KindNumber:
		return &node{Type: "integer", Minimum: new(int), Maximum: &d.Most}
	case policy.KindWord:
		return &node{Type: "string", Enum: d.Words}
	case policy.KindSwitch:
		return &node{Type: "boolean"}
	case policy.KindTexts:
		items := oneText(d)
		items.MinLength = 1
		return list(d, items)
	case policy.KindEntries:
		return list(d, entry(d.Fields))
	default:
		return oneText(d)
	}
}

func list(d policy.Definition, items *node) *node {
	n := &node{Type: "array", MaxItems: policy.MaxList, Items: items}
	if d.Required {
		n.MinItems = 1
	}
	return n
}

// oneText may be empty where nothing needs it: it is then as if it were not set.
func oneText(d policy.Definition) *node {
	n := &node{Type: "string", MaxLength: cmp.Or(d.Longest, policy.MaxText)}
	switch {
	case d.Pattern == "":
	case d.Required, d.Kind == policy.KindTexts:
		n.Pattern = "^(" + d.Pattern + ")$"
	default:
		n.Pattern = "^(" + d.Pattern + ")?$"
	}
	return n
}

func entry(fields []policy.Definition) *node {
	n := object()
	for _, f := range fields {
		n.Properties = append(n.Properties, property{f.Key, setting(f)})
		if f.Required {
			n.Required = append(n.Required, f.Key)
		}
	}
	return n
}

// plain is a value of the table as JSON has it.
func plain(s string) any {
	var v any
	if err := yaml.Unmarshal([]byte(s), &v); err != nil {
		panic("render: " + s + ": " + err.Error())
	}
	return v
}
