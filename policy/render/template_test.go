package render

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stepaway/policy"
)

// tree is any XML, read without the types that wrote it.
type tree struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Under   []tree     `xml:",any"`
}

func readTree(t *testing.T, b []byte) tree {
	t.Helper()
	var n tree
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimSpace(b)))
	if err := d.Decode(&n); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the root: %v", err)
	}
	return n
}

func (n tree) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// at lists what is reached by a path of names.
func (n tree) at(path ...string) []tree {
	if len(path) == 0 {
		return []tree{n}
	}
	var out []tree
	for _, u := range n.Under {
		if u.XMLName.Local == path[0] {
			out = append(out, u.at(path[1:]...)...)
		}
	}
	return out
}

func (n tree) walk(visit func(tree)) {
	visit(n)
	for _, u := range n.Under {
		u.walk(visit)
	}
}

// only is the one tree at a path.
func (n tree) only(t *testing.T, path ...string) tree {
	t.Helper()
	ns := n.at(path...)
	if len(ns) != 1 {
		t.Fatalf("%d of %v in %s", len(ns), path, n.XMLName.Local)
	}
	return ns[0]
}

// byAttr maps trees by an attribute, which each has for itself.
func byAttr(t *testing.T, ns []tree, attr string) map[string]tree {
	t.Helper()
	out := map[string]tree{}
	for _, n := range ns {
		name := n.attr(attr)
		if _, twice := out[name]; twice || name == "" {
			t.Errorf("%s %q stands twice or is empty", attr, name)
		}
		out[name] = n
	}
	return out
}

var reference = regexp.MustCompile(`^\$\((string|presentation)\.(.+)\)$`)

// TestEveryReferenceResolves in both languages, and nothing stands there that nobody refers to.
func TestEveryReferenceResolves(t *testing.T) {
	admx := readTree(t, ADMX())
	for _, l := range languages {
		adml := readTree(t, ADML(l.code))
		tables := map[string]map[string]tree{
			"string":       byAttr(t, adml.at("resources", "stringTable", "string"), "id"),
			"presentation": byAttr(t, adml.at("resources", "presentationTable", "presentation"), "id"),
		}
		used := map[string]bool{}
		admx.walk(func(n tree) {
			for _, a := range n.Attrs {
				if m := reference.FindStringSubmatch(a.Value); m != nil {
					used[a.Value] = true
					if _, there := tables[m[1]][m[2]]; !there {
						t.Errorf("%s: nothing is %s", l.code, a.Value)
					}
				} else if strings.Contains(a.Value, "$(") {
					t.Errorf("%s=%q", a.Name.Local, a.Value)
				}
			}
		})
		for kind, table := range tables {
			for id, n := range table {
				if !used["$("+kind+"."+id+")"] {
					t.Errorf("%s: nobody refers to %s %s", l.code, kind, id)
				}
				if kind == "string" && strings.TrimSpace(n.Text) == "" {
					t.Errorf("%s: %s is empty", l.code, id)
				}
			}
		}
		if r := adml.attr("revision"); r != admx.only(t, "resources").attr("minRequiredRevision") {
			t.Errorf("%s is revision %s", l.code, r)
		}
	}
}

func TestBothLanguagesSayTheSameThings(t *testing.T) {
	en, es := readTree(t, ADML("en-US")), readTree(t, ADML("es-ES"))
	a, b := byAttr(t, en.at("resources", "stringTable", "string"), "id"), byAttr(t, es.at("resources", "stringTable", "string"), "id")
	numbers := regexp.MustCompile(`[0-9]+`)
	for id, n := range a {
		x, y := numbers.FindAllString(n.Text, -1), numbers.FindAllString(b[id].Text, -1)
		if slices.Sort(x); !slices.Equal(x, slices.Sorted(slices.Values(y))) {
			t.Errorf("%s: numbers %q in English, %q in Spanish", id, x, y)
		}
	}
	shape := func(n tree) string {
		var out strings.Builder
		n.only(t, "resources", "presentationTable").walk(func(n tree) {
			out.WriteString(n.XMLName.Local)
			for _, a := range n.Attrs {
				out.WriteString(" " + a.Name.Local + "=" + a.Value)
			}
			out.WriteByte('\n')
		})
		return out.String()
	}
	if shape(en) != shape(es) {
		t.Errorf("presentations differ:\n%s\n%s", shape(en), shape(es))
	}
}

// TestParentsResolve: categories and releases.
func TestParentsResolve(t *testing.T) {
	admx := readTree(t, ADMX())
	categories := byAttr(t, admx.at("categories", "category"), "name")
	since := byAttr(t, admx.at("supportedOn", "definitions", "definition"), "name")
	used := map[string]bool{folder: true}
	for _, p := range append(admx.at("policies", "policy"), admx.at("categories", "category")...) {
		for _, parent := range p.at("parentCategory") {
			if _, there := categories[parent.attr("ref")]; !there {
				t.Errorf("%s is in no category", p.attr("name"))
			}
			used[parent.attr("ref")] = true
		}
	}
	for _, p := range admx.at("policies", "policy") {
		if _, there := since[p.only(t, "supportedOn").attr("ref")]; !there || len(p.at("parentCategory")) != 1 {
			t.Errorf("%s: supported on %v, in %d categories", p.attr("name"), p.at("supportedOn"), len(p.at("parentCategory")))
		}
	}
	if len(used) != len(categories) {
		t.Errorf("%d categories, %d used", len(categories), len(used))
	}
}

// controlFor is what shows each element.
var controlFor = map[string]string{"decimal": "decimalTextBox", "enum": "dropdownList", "text": "textBox", "multiText": "multiTextBox", "list": "listBox"}

// elementFor is what each kind of value is in a template.
var elementFor = map[policy.Kind]string{policy.KindDuration: "decimal", policy.KindNumber: "decimal", policy.KindWord: "enum",
	policy.KindText: "text", policy.KindTexts: "multiText"}

// TestEverySettingStandsOnceWhereTheAgentReads: key, value, type, bounds and a label for each, all by the contract in words
// and not by what wrote them.
func TestEverySettingStandsOnceWhereTheAgentReads(t *testing.T) {
	policies := readTree(t, ADMX()).at("policies", "policy")
	if len(policies) != len(policy.Definitions) {
		t.Fatalf("%d policies for %d settings", len(policies), len(policy.Definitions))
	}
	presentations := byAttr(t, readTree(t, ADML("en-US")).at("resources", "presentationTable", "presentation"), "id")
	byName := byAttr(t, policies, "name")
	for _, d := range policy.Definitions {
		p, there := byName[strings.ReplaceAll(d.Key, ".", "_")]
		if !there {
			t.Errorf("%s is missing", d.Key)
			continue
		}
		if p.attr("class") != "Machine" {
			t.Errorf("%s: class %q", d.Key, p.attr("class"))
		}
		below, value := policy.RegistryRoot, d.Key
		if i := strings.IndexByte(d.Key, '.'); i >= 0 {
			below, value = below+`\`+d.Key[:i], d.Key[i+1:]
		}
		switch d.Kind {
		case policy.KindSwitch:
			switchStands(t, d.Key, p, below, value)
		case policy.KindEntries:
			listsStand(t, d, p)
		default:
			e := p.only(t, "elements").Under[0]
			if p.attr("key") != below || e.attr("valueName") != value || e.attr("key") != "" || p.attr("valueName") != "" {
				t.Errorf("%s stands at %s, %s", d.Key, p.attr("key"), e.attr("valueName"))
			}
			if e.XMLName.Local != elementFor[d.Kind] || len(p.only(t, "elements").Under) != 1 {
				t.Errorf("%s is a %s", d.Key, e.XMLName.Local)
			}
			bounded(t, d, e)
		}
		labelled(t, d.Key, p, presentations[strings.Trim(strings.TrimPrefix(p.attr("presentation"), "$(presentation."), ")")])
	}
}

func switchStands(t *testing.T, key string, p tree, below, value string) {
	on, off := p.only(t, "enabledValue", "decimal").attr("value"), p.only(t, "disabledValue", "decimal").attr("value")
	if p.attr("key") != below || p.attr("valueName") != value || on != "1" || off != "0" || len(p.at("elements")) > 0 {
		t.Errorf("%s stands at %s, %s: %s or %s", key, p.attr("key"), p.attr("valueName"), on, off)
	}
}

func listsStand(t *testing.T, d policy.Definition, p tree) {
	lists := byAttr(t, p.only(t, "elements").Under, "id")
	if len(lists) != len(d.Fields)-1 {
		t.Errorf("%s: %d lists for %d fields beside the name", d.Key, len(lists), len(d.Fields)-1)
	}
	for _, f := range d.Fields {
		if f.Key == "name" {
			continue
		}
		l := lists[f.Key]
		if want := policy.RegistryRoot + `\` + d.Key + `\` + f.Key; l.XMLName.Local != "list" || l.attr("key") != want ||
			l.attr("explicitValue") != "true" || l.attr("additive") != "" || l.attr("valuePrefix") != "" {
			t.Errorf("%s.%s is %v", d.Key, f.Key, l)
		}
	}
}

func bounded(t *testing.T, d policy.Definition, e tree) {
	var want map[string]string
	switch d.Kind {
	case policy.KindDuration:
		least := d.Min.Seconds()
		if d.OrZero {
			least = 0
		}
		want = map[string]string{"minValue": strconv.Itoa(int(least)), "maxValue": strconv.Itoa(int(d.Max.Seconds()))}
	case policy.KindNumber:
		want = map[string]string{"minValue": "0", "maxValue": strconv.Itoa(d.Most)}
	case policy.KindWord:
		var words []string
		for _, s := range e.at("item", "value", "string") {
			words = append(words, s.Text)
		}
		if !slices.Equal(words, d.Words) {
			t.Errorf("%s offers %q", d.Key, words)
		}
	case policy.KindText:
		if n, err := strconv.Atoi(e.attr("maxLength")); err != nil || n < len(d.Example) || n > policy.MaxText {
			t.Errorf("%s: maxLength %q", d.Key, e.attr("maxLength"))
		}
	case policy.KindTexts:
		want = map[string]string{"maxStrings": strconv.Itoa(policy.MaxList)}
	}
	for name, v := range want {
		if e.attr(name) != v {
			t.Errorf("%s: %s is %q, want %s", d.Key, name, e.attr(name), v)
		}
	}
}

// labelled: each element has one control of its kind with a label, and the other way round.
func labelled(t *testing.T, key string, p, shown tree) {
	var es []tree
	for _, e := range p.at("elements") {
		es = e.Under
	}
	controls := map[string]tree{}
	for _, c := range shown.Under {
		label := c.Text
		if c.XMLName.Local == "textBox" {
			label = c.only(t, "label").Text
		}
		if strings.TrimSpace(label) == "" {
			t.Errorf("%s: a %s without a label", key, c.XMLName.Local)
		}
		if c.XMLName.Local != "text" {
			controls[c.attr("refId")] = c
		}
	}
	if len(controls) != len(es) {
		t.Errorf("%s: %d elements, %d controls", key, len(es), len(controls))
	}
	for _, e := range es {
		if c := controls[e.attr("id")]; c.XMLName.Local != controlFor[e.XMLName.Local] {
			t.Errorf("%s: %s is shown by %q", key, e.attr("id"), c.XMLName.Local)
		}
	}
}

// xmllint validates by the schema in testdata.
func xmllint(t *testing.T, doc []byte) error {
	t.Helper()
	cmd := exec.Command("xmllint", "--noout", "--nonet", "--schema", "testdata/template.xsd", "-")
	cmd.Stdin = bytes.NewReader(doc)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && (exit.ExitCode() == 3 || exit.ExitCode() == 1) { // invalid, or no XML
		return errors.New(string(out))
	}
	if err != nil {
		t.Fatalf("xmllint: %v; run `make deps`\n%s", err, out)
	}
	return nil
}

func TestTemplatesAreValid(t *testing.T) {
	for _, f := range Files() {
		if ext := filepath.Ext(f.Path); ext == ".admx" || ext == ".adml" {
			if err := xmllint(t, f.Text); err != nil {
				t.Errorf("%s: %v", f.Path, err)
			}
		}
	}
}

// TestTheSchemaRefuses what is wrong, so that valid says something.
func TestTheSchemaRefuses(t *testing.T) {
	admx, adml := string(ADMX()), string(ADML("en-US"))
	for _, c := range []struct{ what, doc, old, new string }{
		{"no class", admx, ` class="Machine"`, ``},
		{"another class", admx, `class="Machine"`, `class="Computer"`},
		{"no key", admx, ` key="Software\Policies\Stepaway"`, ``},
		{"a key with a hive's slash", admx, `key="Software\Policies\Stepaway"`, `key="\Software\Policies\Stepaway"`},
		{"an attribute that nothing has", admx, `required="true"`, `needed="true"`},
		{"an element that nothing has", admx, `<decimal id="limit" valueName="limit" required="true" minValue="5" maxValue="86400"></decimal>`, `<duration id="limit"/>`},
		{"a negative bound", admx, `minValue="5"`, `minValue="-5"`},
		{"a name with a dot", admx, `<policy name="lock_proof"`, `<policy name="lock.proof"`},
		{"a name twice", admx, `<policy name="limit"`, `<policy name="version"`},
		{"an id twice", admx, `<list id="publisher"`, `<list id="paths"`},
		{"a parent that is not there", admx, `<parentCategory ref="lock">`, `<parentCategory ref="look">`},
		{"a release that is not there", admx, `<supportedOn ref="since_0_1">`, `<supportedOn ref="since_9_9">`},
		{"no support", admx, `<supportedOn ref="since_0_1"></supportedOn>`, ``},
		{"a string that is no reference", admx, `displayName="$(string.limit)"`, `displayName="Limit"`},
		{"another namespace", admx, `2006/07/PolicyDefinitions"`, `2007/06/PolicyDefinitions"`},
		{"a wrong revision", admx, `schemaVersion="1.0"`, `schemaVersion="1"`},
		{"two values", admx, `<decimal value="1"></decimal>`, `<decimal value="1"/><decimal value="2"/>`},
		{"a string twice", adml, `<string id="limit">`, `<string id="version">`},
		{"a string without id", adml, `<string id="limit">`, `<string>`},
		{"a control without refId", adml, ` refId="limit"`, ``},
		{"a box without label", adml, `<label>Collector (for example https://collector.clinic.example:8443)</label>`, ``},
		{"a control that nothing has", adml, `listBox`, `listbox`},
		{"half a file", adml, `</policyDefinitionResources>`, ``},
	} {
		broken := strings.ReplaceAll(c.doc, c.old, c.new)
		if broken == c.doc {
			t.Errorf("%s: %s does not stand there", c.what, c.old)
		} else if err := xmllint(t, []byte(broken)); err == nil {
			t.Errorf("%s is taken for valid", c.what)
		}
	}
}
