package render

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"stepaway/policy"
)

const referenceHead = "# Policy\n\n" + `What a site can set, and what it means. This page, the Group Policy templates, the schema and the commented example are
written from the table that the agent reads by: ` + "`go generate ./policy/...`" + ` makes them anew.

## Where values come from

Later ones over earlier ones, setting by setting; a list is taken as a whole:

1. the built-in default, which is strict
2. ` + "`/etc/stepaway/policy.yaml`" + `
3. ` + "`/etc/stepaway/policy.d/*.yaml`" + `, in the order of their names
4. Windows: ` + "`" + policy.RegistryName + "`" + `, which Group Policy writes

A wrong value anywhere, and nothing of the policy is taken: the last good one rules on, an alert says so, and
` + "`stepaway-agent policy check FILE`" + ` says what is wrong. The same holds for a policy that goes
away as a whole, such as a group policy that is unlinked: to return to the defaults, set one that says so, if only an empty
file. There is no value that means "off".

` + "`stepaway-agent policy show`" + ` prints each value in force and where it came from. A [commented
example](../packaging/policy/policy.yaml) holds every setting and sets none; editors that know JSON Schema check a policy
while it is written, with [policy.schema.json](../packaging/policy/policy.schema.json), which
` + "`stepaway-agent policy schema`" + ` prints too. The schema does not know the bounds of durations, nor whether settings fit
together; it wants switches and numbers plain and a name like ` + "`12`" + ` in quotes.

## For whom they hold

A workstation has one class or none. What its class sets holds in place of the general settings. A user has the roles of
his groups: a role's terms hold in place of those, of several roles the strictest value, one by one. No role exceeds what the
class sets. A user in no role has the general terms.

## When a policy becomes weaker

Each setting below says in which direction it is weaker. A weaker policy raises an alert; where
[` + "`approval.required`" + `](#approvalrequired) is set, it waits for the signatures of two people: [operate.md](operate.md#a-weaker-policy) shows how. A policy whose
[` + "`version`" + `](#version) is lower than the highest that the computer has had is refused.

## Group Policy

Copy ` + "`stepaway.admx`" + ` and the directories ` + "`en-US`" + ` and ` + "`es-ES`" + ` from [packaging/policy](../packaging/policy) to
` + "`%SystemRoot%\\PolicyDefinitions`" + `, or to ` + "`PolicyDefinitions`" + ` in the domain's SYSVOL. The settings stand under Computer
Configuration, Administrative Templates, Stepaway.

| In policy.yaml | In the registry |
|---|---|
| duration | REG_DWORD, seconds; REG_SZ like ` + "`15m`" + ` is read too |
| whole number | REG_DWORD |
| switch | REG_DWORD, 0 or 1 |
| word, text | REG_SZ; REG_EXPAND_SZ is read too, and not expanded |
| list of texts | REG_MULTI_SZ |
| list of entries | a key for the list, in it a key for each field, in that a REG_SZ for each entry, whose name is the entry's and whose data is as in policy.yaml; several texts are separated by ` + "`\\|`" + ` |

The templates were checked by tests: they are valid by a schema that we wrote ourselves after the published format, not by
Microsoft's own; every reference resolves in both languages; every setting and field is there once; what an editor should
write by them for the example is read back as the example. Not run on a real Windows: no Group Policy editor has opened them.
`

// Reference is docs/policy.md.
func Reference() []byte {
	b := bytes.NewBufferString(referenceHead)
	b.WriteString("\n## Settings\n\n| Setting | Default | Allowed | Weaker |\n|---|---|---|---|\n")
	for _, d := range policy.Definitions {
		row(b, "["+code(d.Key)+"](#"+anchor(d.Key)+")", standardCell(d), allowed(d), escape(english.weakerBy(d)))
	}
	for _, d := range policy.Definitions {
		describe(b, d)
	}
	return b.Bytes()
}

func describe(b *bytes.Buffer, d policy.Definition) {
	fmt.Fprintf(b, "\n### %s\n\n%s. %s\n", code(d.Key), escape(d.Title.En), escape(d.Help.En))
	if len(d.Meanings) > 0 {
		b.WriteString("\nFrom the weakest:\n\n")
	}
	for i, m := range d.Meanings {
		fmt.Fprintf(b, "- %s: %s\n", code(d.Words[i]), escape(m.En))
	}
	if len(d.Fields) > 0 {
		b.WriteString("\n| Field | Default | Allowed | Weaker | Meaning |\n|---|---|---|---|---|\n")
	}
	for _, f := range d.Fields {
		row(b, code(f.Key), standardCell(f), allowed(f), escape(english.weakerBy(f)), escape(english.explained(f)))
	}
	fmt.Fprintf(b, "\n%s\n", inWindows(d))
	fmt.Fprintf(b, "\n```yaml\n%s\n```\n", strings.Join(exampleLines(d), "\n"))
}

func row(b *bytes.Buffer, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func standardCell(d policy.Definition) string {
	switch {
	case d.Required:
		return "needed"
	case d.Default == "", d.Default == "[]":
		return ""
	default:
		return code(d.Default)
	}
}

// allowed says what a value may be, in a few words.
func allowed(d policy.Definition) string {
	switch d.Kind {
	case policy.KindDuration, policy.KindNumber:
		return strings.ToLower(strings.TrimSuffix(english.bounds(d, policy.Duration), "."))
	case policy.KindWord, policy.KindSwitch:
		var out []string
		for _, w := range d.Words {
			out = append(out, code(w))
		}
		return strings.Join(out, ", ")
	case policy.KindTexts:
		return "list of texts"
	case policy.KindEntries:
		return "list of entries"
	default:
		return "text"
	}
}

// registered is the type in the registry of each kind that is one value.
var registered = map[policy.Kind]string{
	policy.KindDuration: "REG_DWORD, seconds", policy.KindNumber: "REG_DWORD", policy.KindSwitch: "REG_DWORD, 0 or 1",
	policy.KindWord: "REG_SZ", policy.KindText: "REG_SZ", policy.KindTexts: "REG_MULTI_SZ",
}

func inWindows(d policy.Definition) string {
	key, value := place(d)
	if d.Kind != policy.KindEntries {
		return fmt.Sprintf("Registry: `HKLM\\%s`, value `%s`, %s.", key, value, registered[d.Kind])
	}
	return fmt.Sprintf("Registry: `HKLM\\%s`, a key for each field but %s, in it a REG_SZ for each entry.", key, code(d.Fields[0].Key))
}

func exampleLines(d policy.Definition) []string {
	section, name, nested := strings.Cut(d.Key, ".")
	if !nested {
		return valueLines(d.Key, d)
	}
	out := []string{section + ":"}
	for _, line := range valueLines(name, d) {
		out = append(out, "  "+line)
	}
	return out
}

// escape keeps markdown from reading marks in a text.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>#|~&$", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code is a span of code, in a cell of a table too.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

// anchor is what a heading in code gets from those who show it: letters, digits, hyphens and underscores stay.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}
