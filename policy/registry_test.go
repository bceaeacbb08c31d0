package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// sz, multi and dword are values of the registry at a place like `roles\limit\clinical`.
func sz(at, s string) RegistryValue { return regValue(at, RegistrySZ, utf16le(s+"\x00")) }

func multi(at string, ss ...string) RegistryValue {
	all := ""
	for _, s := range ss {
		all += s + "\x00"
	}
	return regValue(at, RegistryMultiSZ, utf16le(all+"\x00"))
}

func dword(at string, n uint32) RegistryValue {
	return regValue(at, RegistryDWord, binary.LittleEndian.AppendUint32(nil, n))
}

func regValue(at string, t uint32, data []byte) RegistryValue {
	i := strings.LastIndex(at, `\`)
	return RegistryValue{Key: at[:max(i, 0)], Name: at[i+1:], Type: t, Data: data}
}

// taken is what Parse makes of the values alone.
func taken(values ...RegistryValue) (Loaded, error) {
	doc, err := FromRegistry(values)
	if err != nil {
		return Loaded{}, err
	}
	return Parse([]Document{doc})
}

func TestFromRegistryTakes(t *testing.T) {
	for name, c := range map[string]struct {
		values []RegistryValue
		set    func(*Policy)
	}{
		"nothing":              {nil, func(*Policy) {}},
		"empty defaults":       {[]RegistryValue{sz("", ""), sz(`lock\`, ""), regValue("", RegistrySZ, nil)}, func(*Policy) {}},
		"seconds":              {[]RegistryValue{dword("limit", 600)}, func(p *Policy) { p.Limit = 10 * time.Minute }},
		"a duration in words":  {[]RegistryValue{sz("limit", "90s")}, func(p *Policy) { p.Limit = 90 * time.Second }},
		"no time":              {[]RegistryValue{dword("warning", 0)}, func(p *Policy) { p.Warning = 0 }},
		"a number":             {[]RegistryValue{dword("version", 1<<31-1)}, func(p *Policy) { p.Version = 1<<31 - 1 }},
		"a word":               {[]RegistryValue{sz(`lock\proof`, "greeter")}, func(p *Policy) { p.Lock.Proof = ProofGreeter }},
		"on":                   {[]RegistryValue{dword(`lock\terminate`, 1)}, func(p *Policy) { p.Lock.Terminate = true }},
		"off":                  {[]RegistryValue{dword(`lock\terminate`, 0)}, func(p *Policy) {}},
		"no list":              {[]RegistryValue{multi(`lock\fallback`)}, func(p *Policy) {}},
		"no list, ended twice": {[]RegistryValue{regValue(`lock\fallback`, RegistryMultiSZ, []byte{0, 0, 0, 0})}, func(p *Policy) {}},
		"a list":               {[]RegistryValue{multi(`lock\fallback`, "/bin/l", "-n", "ü 𝄞")}, func(p *Policy) { p.Lock.Fallback = []string{"/bin/l", "-n", "ü 𝄞"} }},
		"a text to expand, not expanded": {[]RegistryValue{regValue(`collector\ca`, RegistryExpandSZ, utf16le("/a/%TEMP%\x00"))},
			func(p *Policy) { p.Collector.CA = "/a/%TEMP%" }},
		"a text that looks like more": {[]RegistryValue{sz(`collector\ca`, "/a: [b, *c] # \"d\" 'e'\\")},
			func(p *Policy) { p.Collector.CA = "/a: [b, *c] # \"d\" 'e'\\" }},
		"any case": {[]RegistryValue{dword(`LIMIT`, 600), sz(`Lock\PROOF`, "claim"), sz(`Roles\Groups\A`, "G"), sz(`rOLES\lIMIT\a`, "5m")},
			func(p *Policy) {
				p.Limit, p.Lock.Proof = 10*time.Minute, ProofClaim
				p.Roles = []Role{{Name: "A", Groups: []string{"G"}, Terms: Terms{Limit: 5 * time.Minute}}}
			}},
		"entries in the order of their names": {[]RegistryValue{sz(`classes\limit\b`, "5m"), sz(`classes\limit\C`, "6m"), sz(`classes\action\a`, "sign-out")},
			func(p *Policy) {
				p.Classes = []Class{{"a", Terms{Action: SignOut}}, {"b", Terms{Limit: 5 * time.Minute}}, {"C", Terms{Limit: 6 * time.Minute}}}
			}},
		"a client": {[]RegistryValue{sz(`clients\paths\Example EHR`, `C:\Program Files\ehr.exe|/opt/ehr | /opt/x`), sz(`clients\grace\Example EHR`, "1m"),
			sz(`clients\clear_clipboard\Example EHR`, "true"), sz(`clients\caches\Example EHR`, "")},
			func(p *Policy) {
				c := client("Example EHR", Close, time.Minute, `C:\Program Files\ehr.exe`, "/opt/ehr", "/opt/x")
				c.ClearClipboard = true
				p.Clients = []Client{c}
			}},
	} {
		want := Default()
		c.set(&want)
		l, err := taken(c.values...)
		if err != nil || !reflect.DeepEqual(normal(l.Policy), normal(want)) {
			t.Errorf("%s: %v, %+v\nwant %+v", name, err, l.Policy, want)
		}
		for key, src := range l.Source {
			if src != `HKLM\Software\Policies\Stepaway` {
				t.Errorf("%s: %s comes from %q", name, key, src)
			}
		}
	}
}

func TestFromRegistryRefuses(t *testing.T) {
	for _, c := range []struct {
		v    RegistryValue
		want string
	}{
		{regValue("limit", 11, make([]byte, 8)), `limit: REG_QWORD; write it as REG_DWORD in seconds`},
		{regValue("limit", 99, nil), `limit: type 99; write it as REG_DWORD in seconds`},
		{regValue("limit", RegistryDWord, []byte{1, 2}), `limit: a REG_DWORD of 2 bytes`},
		{dword("limit", 1), `limit: 1s is out of bounds; from 5s to 24h is allowed`},
		{dword("limit", 1<<32-1), `limit: 1193046h28m15s is out of bounds; from 5s to 24h is allowed`},
		{sz("limit", "soon"), `limit: "soon" is not a duration; write it like 15m or 30s`},
		{sz("version", "3"), `version: REG_SZ; write it as REG_DWORD`},
		{dword("version", 1<<31), `version: "2147483648" is not a whole number from 0 to 2147483647`},
		{dword("action", 1), `action: REG_DWORD; write it as REG_SZ`},
		{sz(`lock\terminate`, "true"), `lock\terminate: REG_SZ; write it as REG_DWORD, 0 or 1`},
		{dword(`lock\terminate`, 2), `lock\terminate: 2 is not 0 or 1`},
		{sz(`lock\fallback`, "/bin/l"), `lock\fallback: REG_SZ; write it as REG_MULTI_SZ`},
		{multi(`collector\url`, "https://h"), `collector\url: REG_MULTI_SZ; write it as REG_SZ`},
		{regValue(`lock\proof`, RegistrySZ, []byte("x\x00\x00")), `lock\proof: half a character at its end`},
		{regValue(`lock\proof`, RegistrySZ, utf16le("claim")), `lock\proof: the text has no end`},
		{regValue(`lock\proof`, RegistrySZ, nil), `lock\proof: the text has no end`},
		{regValue(`lock\proof`, RegistrySZ, utf16le("claim\x00claim\x00")), `lock\proof: the text goes on after its end`},
		{regValue(`lock\proof`, RegistrySZ, []byte{0x34, 0xd8, 0, 0}), `lock\proof: not UTF-16 text`},
		{regValue(`lock\fallback`, RegistryMultiSZ, utf16le("/bin/l\x00")), `lock\fallback: the list has no end`},
		{multi(`lock\fallback`, "/bin/l", "", "b"), `lock.fallback: empty`},
		{sz(`lock\proof`, "cl\u202eaim"), `lock\proof: "cl?aim" holds a character that cannot be printed`},
		{sz(`collector\ca`, "/a\n/b"), `collector\ca: "/a?/b" holds a character that cannot be printed`},
		{sz("", "x"), `(Default): the default value of a key says nothing; delete it`},
		{sz(`lock\`, "x"), `lock\(Default): the default value of a key says nothing; delete it`},
		{sz("lim\x1bit", "x"), `lim?it: the name holds a character that cannot be printed`},
		{sz("li\xffmit", "x"), `the name holds a character that cannot be printed`},
		{sz(strings.Repeat("n", MaxText+1), "x"), `the name is longer than 1024 bytes`},
		{sz(`a\b\c\d\e\f`, "x"), `a\b\c\d\e\f: nothing is set so deep`},
		{sz("limits", "15m"), `unknown key "limits"; known here: version, limit,`},
		{dword(`Lock\prove`, 1), `unknown key "prove"; known here: proof, fallback, terminate`},
		{sz("lock.proof", "claim"), `unknown key "lock.proof"`},
		{sz("lock", "claim"), `lock: expected keys and values here`},
		{sz("roles", "x"), `roles: says nothing here; write it like roles\groups, with the name of an entry`},
		{sz(`roles\clinical`, "x"), `roles\clinical: says nothing here; write it like roles\groups, with the name of an entry`},
		{sz(`roles\groups\clinical\more`, "x"), `says nothing here; write it like roles\groups, with the name of an entry`},
		{sz(`roles\limits\clinical`, "x"), `roles: "clinical": unknown key "limits"`},
		{sz(`roles\name\clinical`, "x"), `roles: "clinical": key "name" stands twice`},
		{sz(`roles\limit\clinical`, "5m"), `roles: "clinical" has no groups`},
		{dword(`roles\limit\clinical`, 300), `roles\limit\clinical: REG_DWORD; write it as REG_SZ`},
		{sz(`roles\groups\clinical`, "a||b"), `roles: "clinical": groups: empty`},
		{sz(`roles\groups\*`, "a"), `roles: name: name "*": use at most 64`},
		{sz(`class`, "ward"), `class: no class "ward"; those that are defined: none`},
	} {
		l, err := taken(c.v)
		var ps Problems
		if !errors.As(err, &ps) || !strings.Contains(ps[0].String(), RegistryName+": "+c.want) && !strings.HasSuffix(ps[0].Text, c.want) {
			t.Errorf("%s: %+v, %v; want %q", c.v.place(), l.Policy, err, c.want)
		}
		for _, p := range ps {
			if p.File != RegistryName || p.Line != 0 || p.Column != 0 {
				t.Errorf("%s: the problem is at %+v", c.v.place(), p)
			}
		}
	}
}

func TestFromRegistrySaysAllAtOnce(t *testing.T) {
	_, err := FromRegistry([]RegistryValue{dword("limit", 1), sz("version", "x"), sz("Limit", "10m"), sz("colour", "x"), sz(`lock\proof`, "none")})
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatal(err)
	}
	all := ""
	for _, p := range ps {
		all += p.String() + "\n"
	}
	for _, want := range []string{"version: REG_SZ", "limit: 1s is out", `key "limit" stands twice`, `unknown key "colour"`, `lock.proof: "none" is not one of`} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing about %s in\n%s", want, all)
		}
	}
}

func TestFromRegistryHasBounds(t *testing.T) {
	many := make([]RegistryValue, MaxRegistryValues+1)
	for i := range many {
		many[i] = sz(fmt.Sprintf(`roles\limit\n%d`, i), "")
	}
	for name, vs := range map[string][]RegistryValue{
		"too many": many,
		"too much": {sz("class", strings.Repeat("x", MaxFile/2))},
	} {
		if _, err := FromRegistry(vs); err == nil || !strings.Contains(err.Error(), "more than 8192 values or 256 KiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := make([]RegistryValue, MaxRegistryValues)
	for i := range wrong {
		wrong[i] = regValue(fmt.Sprint("n", i), 3, nil)
	}
	if _, err := FromRegistry(wrong); len(err.(Problems)) > 2*maxProblems {
		t.Errorf("%d problems", len(err.(Problems)))
	}
}

// asRegistry says a policy in values of the registry, every setting of it. Lists in cells hold no |.
func asRegistry(p *Policy) []RegistryValue {
	var out []RegistryValue
	for _, d := range Definitions {
		at := strings.ReplaceAll(d.Key, ".", `\`)
		if d.Kind != KindEntries {
			out = append(out, asValue(d, at, p))
			continue
		}
		for _, e := range d.list(p) {
			name := d.Fields[0].valueIn(e).(string)
			for _, f := range d.entryValue(e)[1:] {
				s := fmt.Sprint(f.Value)
				if list, ok := f.Value.([]string); ok {
					s = strings.Join(list, "|")
				}
				if s != "" || f.Value == "" {
					out = append(out, sz(at+`\`+f.Key+`\`+name, s))
				}
			}
		}
	}
	return out
}

func asValue(d Definition, at string, p *Policy) RegistryValue {
	switch v := d.Value(p).(type) {
	case int:
		return dword(at, uint32(v))
	case bool:
		return dword(at, map[bool]uint32{true: 1}[v])
	case []string:
		return multi(at, v...)
	default:
		if n, err := time.ParseDuration(v.(string)); d.Kind == KindDuration && err == nil && n%time.Second == 0 {
			return dword(at, uint32(n/time.Second))
		}
		return sz(at, v.(string))
	}
}

// texts that one setting or another takes.
var someTexts = []string{"/opt/a b/ü", `C:\Program Files\Example\ehr.exe`, "ward-3", "https://collector.clinic.example:8443", "Ärzte: [x] # & *", ".cache/a", "true", "0", "~", "null", "1e3", "- a"}

// randomize gives settings of owner a value that they take, each with a chance. Required ones get one.
func randomize(r *rand.Rand, defs []Definition, owner any) {
	for _, d := range defs {
		if d.Key == "name" || !d.Required && r.IntN(3) == 0 {
			continue
		}
		for tries := 0; d.take(owner, mustNode(randomText(r, d))) != nil; tries++ {
			if tries > 1000 {
				panic(d.Key + " takes none of the texts that were tried")
			}
		}
	}
}

func randomText(r *rand.Rand, d Definition) string {
	some := func() string { return fmt.Sprintf("%q", someTexts[r.IntN(len(someTexts))]) }
	switch d.Kind {
	case KindDuration:
		if d.OrZero && r.IntN(4) == 0 {
			return "0s"
		}
		return (d.Min + time.Duration(r.Int64N(int64(d.Max-d.Min)))).Truncate([]time.Duration{time.Second, time.Millisecond}[r.IntN(2)]).String()
	case KindNumber:
		return fmt.Sprint(r.IntN(d.Most + 1))
	case KindWord, KindSwitch:
		return d.Words[r.IntN(len(d.Words))]
	case KindTexts:
		list := []string{some()}
		for range r.IntN(3) {
			list = append(list, some())
		}
		return "[" + strings.Join(list, ", ") + "]"
	case KindEntries:
		return "[]" // see randomEntries
	default:
		return some()
	}
}

func randomEntries(r *rand.Rand, d Definition, p *Policy) {
	list := reflect.ValueOf(d.read(p)).Elem()
	list.SetZero()
	for _, name := range []string{"a b", "B", "C", "d@x:1", "e"} {
		if r.IntN(2) == 0 {
			continue
		}
		e := d.entry()
		if err := d.Fields[0].take(e, mustNode(name)); err != nil {
			panic(err)
		}
		randomize(r, d.Fields, e)
		if len(d.entryValue(e)) > 1 { // an entry that says nothing has no value that could name it
			list.Set(reflect.Append(list, reflect.ValueOf(e).Elem()))
		}
	}
}

func TestRegistryRoundTrip(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	changed := map[string]bool{}
	standard := Default()
	for range 500 {
		p := policyAtRandom(r)
		values := asRegistry(&p)
		r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		l, err := taken(values...)
		if err != nil || l.Policy.Hash() != p.Hash() {
			t.Fatalf("seed %d: %v\nread  %+v\nwrote %+v", seed, err, l.Policy, p)
		}
		for _, d := range Definitions {
			changed[d.Key] = changed[d.Key] || compact(d.Value(&p)) != compact(d.Value(&standard))
		}
	}
	for _, d := range Definitions {
		if !changed[d.Key] {
			t.Errorf("seed %d: %s always had its default", seed, d.Key)
		}
	}
}

// policyAtRandom is one that Parse takes.
func policyAtRandom(r *rand.Rand) Policy {
	p := Default()
	randomize(r, Definitions, &p)
	for _, d := range Definitions {
		if d.Kind == KindEntries {
			randomEntries(r, d, &p)
		}
	}
	p.Class = ""
	if len(p.Classes) > 0 && r.IntN(2) == 0 {
		p.Class = p.Classes[r.IntN(len(p.Classes))].Name
	}
	if p.Approval.AllowedSigners == "" {
		p.Approval.Required = false
	}
	return p
}

func FuzzFromRegistry(f *testing.F) {
	for _, v := range []RegistryValue{dword("limit", 600), sz(`lock\proof`, "claim"), multi(`lock\fallback`, "/bin/l", "a"), sz(`roles\groups\a`, "b|c"),
		sz(`clients\paths\A b`, `C:\a`), sz(`a\b\c\d\e`, "x"), regValue("limit", RegistrySZ, []byte{0xd8}), sz("", ""), sz(`\`, ""), sz("<<", "x"), sz("!!null", "~")} {
		f.Add(v.Key, v.Name, v.Type, v.Data)
	}
	f.Fuzz(func(t *testing.T, key, name string, kind uint32, data []byte) {
		v := RegistryValue{key, name, kind, data}
		doc, err := FromRegistry([]RegistryValue{v, dword("limit", 600), sz(`roles\groups\a`, "g")})
		var ps Problems
		if err != nil {
			if !errors.As(err, &ps) || len(ps) == 0 || len(doc.Text) > 0 {
				t.Fatalf("%+v: %v, %q", v, err, doc.Text)
			}
			return
		}
		_, err = Parse([]Document{doc})
		if err != nil && !errors.As(err, &ps) {
			t.Fatalf("%+v: %v", v, err)
		}
		for _, p := range ps {
			if strings.Contains(p.Text, "YAML") || strings.Contains(p.Text, "tags") || p.Line != 0 || p.Text == "" {
				t.Errorf("%+v makes %q: %v", v, doc.Text, p)
			}
		}
	})
}
