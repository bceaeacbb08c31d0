package render

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"stepaway/policy"
)

const exampleHead = `## Policy of Stepaway, with every setting. Put it to /etc/stepaway/policy.yaml.
##
## As it stands this file sets nothing. To set something, take the # away from its line, and from the line of its
## section, and change the value. Then run: stepaway-agent policy check /etc/stepaway/policy.yaml
##
## One wrong value, and nothing of the file is taken: the last good policy rules on.
`

// Example is a policy.yaml with every setting, each explained and commented out. As it stands it sets nothing; without the
// first # of every line it is a valid policy, too.
func Example() []byte {
	var b bytes.Buffer
	b.WriteString(exampleHead)
	section := ""
	for _, d := range policy.Definitions {
		in, name, nested := strings.Cut(d.Key, ".")
		if !nested {
			in, name = "", d.Key
		}
		b.WriteByte('\n')
		if in != section && in != "" {
			fmt.Fprintf(&b, "## %s\n#%s:\n", titleOf(in).En, in)
		}
		section = in
		indent := strings.Repeat("  ", strings.Count(d.Key, "."))
		explain(&b, indent, d)
		for _, line := range valueLines(name, d) {
			b.WriteString("#" + indent + line + "\n")
		}
	}
	return b.Bytes()
}

func titleOf(section string) policy.Said {
	for _, s := range policy.Sections {
		if s.Key == section {
			return s.Title
		}
	}
	panic("render: section " + section + " has no title")
}

// explain writes the comment above a setting.
func explain(b *bytes.Buffer, indent string, d policy.Definition) {
	say := func(indent, s string) {
		for _, line := range wrap(s, 110-len(indent)) {
			b.WriteString("##" + indent + line + "\n")
		}
	}
	say(" "+indent, d.Title.En+". "+d.Help.En+" "+strings.Join(english.rules(d), " "))
	for _, m := range english.meanings(d) {
		say("   "+indent, m+".")
	}
	for _, f := range d.Fields {
		say("   "+indent, f.Key+": "+english.field(f))
	}
}

// valueLines write a setting with its example, or else its default, entries one below the other.
func valueLines(name string, d policy.Definition) []string {
	value := d.Example
	if value == "" {
		value = d.Default
	}
	if d.Kind != policy.KindEntries {
		return []string{name + ": " + value}
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(value), &n); err != nil {
		panic("render: " + d.Key + ": " + err.Error())
	}
	n.Content[0].Style = 0
	for _, e := range n.Content[0].Content {
		e.Style = 0
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		panic("render: " + d.Key + ": " + err.Error())
	}
	lines := []string{name + ":"}
	for line := range strings.Lines(b.String()) {
		lines = append(lines, "  "+strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// wrap breaks s at spaces so that no line is longer than most, but for a longer word.
func wrap(s string, most int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(s) {
		if line != "" && len(line)+1+len(w) > most {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}
