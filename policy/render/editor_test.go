package render

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"

	"stepaway/policy"
)

// TestWhatTheEditorWritesIsWhatTheAgentReads fills the template in as Group Policy's editor would, with the values of the
// example, and has the registry's reader make of it what the example says. Key, name and type come from the template alone.
func TestWhatTheEditorWritesIsWhatTheAgentReads(t *testing.T) {
	var answers map[string]any
	if err := yaml.Unmarshal(uncommented(), &answers); err != nil {
		t.Fatal(err)
	}
	var values []policy.RegistryValue
	for i, p := range readTree(t, ADMX()).at("policies", "policy") {
		values = append(values, enabled(t, p, answerTo(t, answers, policy.Definitions[i].Key))...)
	}
	doc, err := policy.FromRegistry(values)
	if err != nil {
		t.Fatal(err)
	}
	got := parsed(t, doc)
	want := parsed(t, policy.Document{Name: "policy.yaml", Text: uncommented()})
	slices.SortFunc(want.Policy.Classes, func(a, b policy.Class) int { return strings.Compare(a.Name, b.Name) }) // as the registry's reader does
	if len(got.Source) != len(policy.Definitions) {
		t.Errorf("%d settings come from the registry, of %d", len(got.Source), len(policy.Definitions))
	}
	for i, s := range want.Settings() {
		if g := got.Settings()[i]; !reflect.DeepEqual(g.Value, s.Value) {
			t.Errorf("%s: %v, want %v", s.Key, g.Value, s.Value)
		}
	}
}

func parsed(t *testing.T, d policy.Document) policy.Loaded {
	t.Helper()
	l, err := policy.Parse([]policy.Document{d})
	if err != nil {
		t.Fatalf("%v\n%s", err, d.Text)
	}
	return l
}

func answerTo(t *testing.T, answers map[string]any, key string) any {
	section, name, nested := strings.Cut(key, ".")
	if nested {
		answers, section = answers[section].(map[string]any), name
	}
	v, there := answers[section]
	if !there {
		t.Fatalf("the example has no %s", key)
	}
	return v
}

// enabled is what an enabled policy puts into the registry.
func enabled(t *testing.T, p tree, answer any) []policy.RegistryValue {
	t.Helper()
	if on, isSwitch := answer.(bool); isSwitch {
		state := map[bool]string{true: "enabledValue", false: "disabledValue"}[on]
		return []policy.RegistryValue{dword(t, p.attr("key"), p.attr("valueName"), p.only(t, state, "decimal").attr("value"))}
	}
	es := p.only(t, "elements").Under
	if es[0].XMLName.Local == "list" {
		return listed(t, es, answer.([]any))
	}
	key, name := p.attr("key"), es[0].attr("valueName")
	switch es[0].XMLName.Local {
	case "decimal":
		return []policy.RegistryValue{dword(t, key, name, seconds(t, answer))}
	case "multiText":
		data := ""
		for _, s := range answer.([]any) {
			data += s.(string) + "\x00"
		}
		return []policy.RegistryValue{{Key: below(t, key), Name: name, Type: policy.RegistryMultiSZ, Data: utf16LE(data + "\x00")}}
	case "enum":
		found := false
		for _, s := range es[0].at("item", "value", "string") {
			found = found || s.Text == answer
		}
		if !found {
			t.Errorf("%s does not offer %v", p.attr("name"), answer)
		}
	}
	return []policy.RegistryValue{sz(t, key, name, answer.(string))}
}

// listed are lists with two columns: the name of an entry, and its value.
func listed(t *testing.T, lists []tree, entries []any) []policy.RegistryValue {
	var out []policy.RegistryValue
	for _, e := range entries {
		fields := e.(map[string]any)
		for _, l := range lists {
			v, set := fields[l.attr("id")]
			if !set {
				continue
			}
			text := fmt.Sprint(v)
			if vs, several := v.([]any); several {
				text = ""
				for i, s := range vs {
					text += map[bool]string{true: "", false: "|"}[i == 0] + fmt.Sprint(s)
				}
			}
			out = append(out, sz(t, l.attr("key"), fields["name"].(string), text))
		}
	}
	return out
}

// seconds is what one enters for a duration; a number is entered as it is.
func seconds(t *testing.T, answer any) string {
	if n, isNumber := answer.(int); isNumber {
		return strconv.Itoa(n)
	}
	d, err := time.ParseDuration(answer.(string))
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(int(d.Seconds()))
}

func below(t *testing.T, key string) string {
	rest, ok := strings.CutPrefix(key, policy.RegistryRoot)
	if !ok {
		t.Errorf("%s is not below %s", key, policy.RegistryRoot)
	}
	return strings.TrimPrefix(rest, `\`)
}

func dword(t *testing.T, key, name, number string) policy.RegistryValue {
	v, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		t.Error(err)
	}
	return policy.RegistryValue{Key: below(t, key), Name: name, Type: policy.RegistryDWord, Data: binary.LittleEndian.AppendUint32(nil, uint32(v))}
}

func sz(t *testing.T, key, name, text string) policy.RegistryValue {
	return policy.RegistryValue{Key: below(t, key), Name: name, Type: policy.RegistrySZ, Data: utf16LE(text + "\x00")}
}

func utf16LE(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
