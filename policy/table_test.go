package policy

import (
	"flag"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var addKeys = flag.Bool("addkeys", false, "write new keys to testdata/keys.txt")

func TestDefinitionsAreWhole(t *testing.T) { whollyDefined(t, "", Definitions, new(Policy)) }

func whollyDefined(t *testing.T, in string, defs []Definition, owner any) {
	seen := map[string]bool{}
	for _, d := range defs {
		name := in + d.Key
		if seen[d.Key] {
			t.Errorf("%s stands twice", name)
		}
		seen[d.Key] = true
		if d.Key == "" || strings.Count(d.Key, ".") > 1 || d.Key != strings.ToLower(d.Key) {
			t.Errorf("%q is no key", name)
		}
		for lang, s := range map[string][2]string{"en": {d.Title.En, d.Help.En}, "es": {d.Title.Es, d.Help.Es}} {
			if s[0] == "" || strings.HasSuffix(s[0], ".") || !strings.HasSuffix(s[1], ".") {
				t.Errorf("%s: in %s: title %q, help %q", name, lang, s[0], s[1])
			}
		}
		if d.Since == "" || d.Weaker == "" {
			t.Errorf("%s: since %q, weaker %q", name, d.Since, d.Weaker)
		}
		if d.Default == "" && in == "" && d.Kind != KindText {
			t.Errorf("%s has no default", name)
		}
		if d.Kind == KindDuration && (d.Min < 0 || d.Max <= d.Min) {
			t.Errorf("%s: bounds %s to %s", name, d.Min, d.Max)
		}
		if d.Kind == KindNumber && d.Most <= 0 {
			t.Errorf("%s: at most %d", name, d.Most)
		}
		if (d.Kind == KindWord || d.Kind == KindSwitch) && d.Default != "" && !slices.Contains(d.Words, d.Default) {
			t.Errorf("%s: default %q is none of %q", name, d.Default, d.Words)
		}
		if len(d.Meanings) > 0 && len(d.Meanings) != len(d.Words) || d.Kind == KindWord && in == "" && d.Meanings == nil {
			t.Errorf("%s: %d words and %d meanings", name, len(d.Words), len(d.Meanings))
		}
		for _, s := range []string{d.Default, d.Example} {
			if s == "" {
				continue
			}
			if err := d.take(owner, mustNode(s)); err != nil {
				t.Errorf("%s: %s: %v", name, s, err)
			}
		}
		if (d.Kind == KindEntries) != (len(d.Fields) > 0) {
			t.Errorf("%s: %s with %d fields", name, d.Kind, len(d.Fields))
		} else if d.Kind == KindEntries {
			whollyDefined(t, name+".", d.Fields, d.entry())
		}
	}
}

// TestEveryFieldIsBoundOnce: each field of a policy belongs to one definition, and each definition has one of its own.
func TestEveryFieldIsBoundOnce(t *testing.T) {
	boundOnce(t, "policy", reflect.ValueOf(new(Policy)).Elem(), Definitions)
	for _, d := range Definitions {
		if d.Kind == KindEntries {
			boundOnce(t, d.Key, reflect.ValueOf(d.entry()).Elem(), d.Fields)
		}
	}
}

func boundOnce(t *testing.T, in string, owner reflect.Value, defs []Definition) {
	bound := map[any]string{} // pointer to field
	for _, d := range defs {
		at := d.read(owner.Addr().Interface())
		if other, taken := bound[at]; taken {
			t.Errorf("%s: %s and %s are bound to one field", in, other, d.Key)
		}
		bound[at] = d.Key
	}
	for name, at := range leaves(in, owner) {
		if bound[at] == "" {
			t.Errorf("%s is bound to no definition", name)
		}
		delete(bound, at)
	}
	for _, key := range bound {
		t.Errorf("%s: %s is bound to no field", in, key)
	}
}

// leaves points at every field that is not itself a struct.
func leaves(in string, v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		name := in + "." + v.Type().Field(i).Name
		if f := v.Field(i); f.Kind() == reflect.Struct {
			maps.Copy(out, leaves(name, f))
		} else {
			out[name] = f.Addr().Interface()
		}
	}
	return out
}

// TestReleasedKeysStay: a key that once stood in somebody's file is understood for ever.
func TestReleasedKeysStay(t *testing.T) {
	const name = "testdata/keys.txt"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	released := strings.Fields(string(b))
	known := keysOf("", Definitions)
	for _, key := range released {
		if !slices.Contains(known, key) {
			t.Errorf("%s was released and is gone", key)
		}
	}
	for _, key := range known {
		if slices.Contains(released, key) {
			continue
		}
		if !*addKeys {
			t.Errorf("%s is new: go test ./policy -run Keys -addkeys", key)
		}
		released = append(released, key)
	}
	if *addKeys {
		if err := os.WriteFile(name, []byte(strings.Join(released, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func keysOf(in string, defs []Definition) []string {
	var out []string
	for _, d := range defs {
		out = append(out, in+d.Key)
		out = append(out, keysOf(in+d.Key+".", d.Fields)...)
	}
	return out
}

func TestDurationReadsBack(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 20 * time.Second: "20s", time.Minute: "1m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 10 * time.Hour: "10h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s",
		24 * time.Hour: "24h", 100 * time.Hour: "100h", 1500 * time.Millisecond: "1.5s", time.Millisecond: "1ms",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
	r := random(1)
	for range 5000 {
		d := time.Duration(r.Int64N(int64(200 * time.Hour)))
		if r.IntN(2) == 0 {
			d = d.Round([]time.Duration{time.Second, time.Minute, time.Hour}[r.IntN(3)])
		}
		if back, err := time.ParseDuration(Duration(d)); err != nil || back != d {
			t.Fatalf("Duration(%s) = %q reads back as %s, %v", d, Duration(d), back, err)
		}
	}
}

func TestProofAtLeast(t *testing.T) {
	order := []Proof{ProofNone, ProofClaim, ProofLocker, ProofGreeter, ProofEnded}
	for i, p := range order {
		for j, q := range order {
			if p.AtLeast(q) != (i >= j) {
				t.Errorf("%s at least %s: %v", p, q, p.AtLeast(q))
			}
		}
		if i > 0 && Proof("surely").AtLeast(p) {
			t.Errorf("an unknown word is taken for %s", p)
		}
	}
}

// TestSectionsAreThoseOfTheKeys: each has settings, and each setting's section a title.
func TestSectionsAreThoseOfTheKeys(t *testing.T) {
	var used []string
	for _, d := range Definitions {
		if section, _, ok := strings.Cut(d.Key, "."); ok && !slices.Contains(used, section) {
			used = append(used, section)
		}
	}
	var named []string
	for _, s := range Sections {
		named = append(named, s.Key)
		if s.Title.En == "" || s.Title.Es == "" {
			t.Errorf("%s has no title", s.Key)
		}
	}
	if !slices.Equal(used, named) {
		t.Errorf("sections of keys %q, of Sections %q", used, named)
	}
}

// TestPatternsAreNoStricterThanChecks: an editor that knows the schema marks nothing that would be taken.
func TestPatternsAreNoStricterThanChecks(t *testing.T) {
	for _, c := range []struct {
		pattern string
		check   func(string) error
		right   []string
		wrong   []string
	}{
		{pathPattern, absolutePath,
			[]string{"/a", "/opt/x y/*?/b", "/usr/bin/i3lock", `C:\Program Files\EHR\client.exe`, `d:\x`, "/ñ"},
			[]string{"", "/", "a", "./a", "/a/", `C:\\a`, `C:a`, `\\share\x`, `C:\a:b`, `C:\/`, "~/a"}},
		{homePattern, belowHome,
			[]string{"a", ".cache", ".cache/example-ehr", `AppData\Local\EHR`, "a b", "...", "..a"},
			[]string{"", "/a", `\a`, "a/", `C:\a`, "a*", "a?b"}},
		{namePattern, nameOK,
			[]string{"a", "ward-3", "Example EHR 2.0", "_x@y/z:+-", " a"},
			[]string{"-a", "+a", "@a", "é", "?", "ward?", "a|b", "a,b"}},
		{urlPattern, httpsURL,
			[]string{"https://a", "HTTPS://a.example:8443/", "https://10.0.0.1", "https://[::1]:443"},
			[]string{"", "http://a", "https://", "https://a/b", "https://u@a", "https://a?b", "https://a#", "a"}},
	} {
		whole := regexp.MustCompile("^(?:" + c.pattern + ")$")
		for _, s := range c.right {
			if err := c.check(s); err != nil || !whole.MatchString(s) {
				t.Errorf("%q: check says %v, pattern %v", s, err, whole.MatchString(s))
			}
		}
		for _, s := range c.wrong {
			if err := c.check(s); err == nil || whole.MatchString(s) {
				t.Errorf("%q: check says %v, pattern %v", s, err, whole.MatchString(s))
			}
		}
		r := random(2)
		for range 20000 {
			s := c.right[r.IntN(len(c.right))]
			if i := r.IntN(len(s)); r.IntN(2) == 0 {
				s = s[:i] + string(rune(32+r.IntN(95))) + s[i+r.IntN(2):]
			} else {
				s += c.wrong[r.IntN(len(c.wrong))]
			}
			if c.check(s) == nil && !whole.MatchString(s) {
				t.Fatalf("%q is taken and does not match %s", s, c.pattern)
			}
		}
	}
}
