package render

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stepaway/policy"
)

// texts is an ADML file.
type texts struct {
	XMLName       xml.Name       `xml:"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions policyDefinitionResources"`
	Revision      string         `xml:"revision,attr"`
	Schema        string         `xml:"schemaVersion,attr"`
	Name          string         `xml:"displayName"`
	About         string         `xml:"description"`
	Strings       []said         `xml:"resources>stringTable>string"`
	Presentations []presentation `xml:"resources>presentationTable>presentation"`
}

type said struct {
	ID   string `xml:"id,attr"`
	Text string `xml:",chardata"`
}

type presentation struct {
	ID       string `xml:"id,attr"`
	Controls []control
}

// control is any of text, decimalTextBox, textBox, multiTextBox, dropdownList and listBox.
type control struct {
	XMLName     xml.Name
	Of          string `xml:"refId,attr,omitempty"`
	Default     *int64 `xml:"defaultValue,attr"`
	Step        int    `xml:"spinStep,attr,omitempty"`
	AsGiven     bool   `xml:"noSort,attr,omitempty"`
	DefaultItem *int   `xml:"defaultItem,attr"`
	Label       string `xml:"label,omitempty"` // of a textBox; all others are their label
	Text        string `xml:",chardata"`
}

// ADML is the text of the template in a language, "en-US" or "es-ES". Every control has a label that says what to enter and
// in what unit, so that it can be used by ear.
func ADML(code string) []byte {
	at := slices.IndexFunc(languages, func(l language) bool { return l.code == code })
	if at < 0 {
		panic("render: no language " + code)
	}
	l := languages[at]
	t := texts{Revision: revision(), Schema: "1.0", Name: "Stepaway", About: l.about}
	t.Strings = append(t.Strings, said{"category_" + folder, "Stepaway"})
	for _, s := range policy.Sections {
		t.Strings = append(t.Strings, said{"category_" + s.Key, l.of(s.Title)})
	}
	for _, since := range releases() {
		t.Strings = append(t.Strings, said{sinceID(since), fmt.Sprintf(l.supported, since)})
	}
	for _, d := range policy.Definitions {
		t.Strings = append(t.Strings, l.strings(d)...)
		if cs := l.controls(d); len(cs) > 0 {
			t.Presentations = append(t.Presentations, presentation{id(d.Key), cs})
		}
	}
	return encode(t)
}

// strings are the title, the help and the words of one setting.
func (l language) strings(d policy.Definition) []said {
	out := []said{{id(d.Key), l.of(d.Title)}, {id(d.Key) + "_help", l.help(d)}}
	for i, m := range l.meanings(d) {
		out = append(out, said{wordID(d, d.Words[i]), m})
	}
	return out
}

// help is what the editor shows beside a setting.
func (l language) help(d policy.Definition) string {
	paragraphs := []string{l.of(d.Help)}
	if ms := l.meanings(d); len(ms) > 0 {
		paragraphs = append(paragraphs, strings.Join(ms, "\n"))
	}
	rules := l.rules(d)
	if d.Kind == policy.KindDuration {
		rules = l.rulesBy(d, l.amount, l.amount(time.Duration(defaultSeconds(d))*time.Second))
	}
	paragraphs = append(paragraphs, strings.Join(rules, " "))
	for _, f := range d.Fields {
		paragraphs = append(paragraphs, f.Key+": "+l.field(f))
	}
	return strings.Join(append(paragraphs, fmt.Sprintf(l.key, d.Key), l.states(d)), "\n\n")
}

// states says what the editor's three states do.
func (l language) states(d policy.Definition) string {
	switch d.Kind {
	case policy.KindSwitch:
		return l.onOff + "\n" + l.notConfigured
	case policy.KindEntries, policy.KindTexts:
		return l.wholeList + "\n" + l.notConfigured + " " + l.disabled
	default:
		return l.notConfigured + " " + l.disabled
	}
}

// amount is a duration for an editor that takes seconds.
func (l language) amount(d time.Duration) string {
	switch s := inSeconds(d); {
	case s == 1:
		return fmt.Sprintf(l.second, s)
	case d < time.Minute:
		return fmt.Sprintf(l.seconds, s)
	default:
		return fmt.Sprintf(l.seconds, s) + " (" + policy.Duration(d) + ")"
	}
}

// controls are what the editor shows for a setting; a switch needs none.
func (l language) controls(d policy.Definition) []control {
	_, name := place(d)
	c := control{Of: name, Text: l.of(d.Title)}
	switch d.Kind {
	case policy.KindSwitch:
		return nil
	case policy.KindDuration:
		v := defaultSeconds(d)
		c.XMLName, c.Default, c.Text = local("decimalTextBox"), &v, fmt.Sprintf(l.inSeconds, c.Text)
		if d.Max >= time.Hour {
			c.Step = 60
		}
	case policy.KindNumber:
		v, err := strconv.ParseInt(d.Default, 10, 32)
		if err != nil {
			panic("render: " + d.Key + ": " + err.Error())
		}
		c.XMLName, c.Default = local("decimalTextBox"), &v
	case policy.KindWord:
		i := slices.Index(d.Words, d.Default)
		c.XMLName, c.AsGiven, c.DefaultItem = local("dropdownList"), true, &i
	case policy.KindText:
		c.XMLName, c.Text, c.Label = local("textBox"), "", l.label(d)
	case policy.KindTexts:
		c.XMLName, c.Text = local("multiTextBox"), fmt.Sprintf(l.eachLine, c.Text)
	case policy.KindEntries:
		cs := []control{{XMLName: local("text"), Text: l.columns}}
		for _, f := range inRegistry(d) {
			cs = append(cs, control{XMLName: local("listBox"), Of: f.Key, Text: l.label(f)})
		}
		return cs
	}
	return []control{c}
}

// label is the title of a value that is entered as text, with what such a text looks like.
func (l language) label(d policy.Definition) string {
	hint := strings.Join(d.Words, ", ")
	if like := cmp.Or(d.Example, d.Default); d.Kind == policy.KindTexts {
		hint = l.piped
	} else if hint == "" && like != "" {
		hint = fmt.Sprintf(l.example, like)
	}
	if hint == "" {
		return l.of(d.Title)
	}
	return l.of(d.Title) + " (" + hint + ")"
}
