package render

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stepaway/policy"
)

// TestTheTreeHoldsWhatIsRendered: no generated file was changed by hand or forgotten.
func TestTheTreeHoldsWhatIsRendered(t *testing.T) {
	for _, f := range Files() {
		got, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(f.Path)))
		if err != nil {
			t.Errorf("%v; run go generate ./policy/...", err)
		} else if !bytes.Equal(got, f.Text) {
			t.Errorf("%s is not what the table says; run go generate ./policy/...", f.Path)
		}
	}
}

func TestExampleSetsNothing(t *testing.T) {
	l, err := policy.Parse([]policy.Document{{Name: "policy.yaml", Text: Example()}})
	if err != nil {
		t.Fatal(err)
	}
	standard := policy.Default()
	if l.Policy.Hash() != standard.Hash() || len(l.Source) > 0 {
		t.Errorf("it sets %v", l.Source)
	}
}

// uncommented is the example without the first # of every line.
func uncommented() []byte { return regexp.MustCompile(`(?m)^#`).ReplaceAll(Example(), nil) }

func TestExampleSetsEverythingWhenUncommented(t *testing.T) {
	l, err := policy.Parse([]policy.Document{{Name: "policy.yaml", Text: uncommented()}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, d := range policy.Definitions {
		if l.Source[d.Key] == "" {
			t.Errorf("%s does not stand in the example", d.Key)
		}
	}
}

// TestExampleOneByOne: each setting can be uncommented by itself, with the line of its section.
func TestExampleOneByOne(t *testing.T) {
	for _, d := range policy.Definitions {
		text := strings.Join(exampleLines(d), "\n")
		for line := range strings.Lines(text) {
			if !bytes.Contains(Example(), []byte("\n#"+strings.TrimSuffix(line, "\n")+"\n")) {
				t.Errorf("%s: the example has no line #%s", d.Key, line)
			}
		}
		l, err := policy.Parse([]policy.Document{{Name: "p.yaml", Text: []byte(text)}})
		if err == nil && l.Source[d.Key] == "" {
			t.Errorf("%s: not set by %s", d.Key, text)
		}
		if err != nil && d.Key != "class" { // which names a class that another setting defines
			t.Errorf("%s: %v", d.Key, err)
		}
	}
}

// headingsOf lists the anchors of a page.
func headingsOf(t *testing.T, page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		a := anchor(m[1])
		if out[a] {
			t.Errorf("two headings %s", m[1])
		}
		out[a] = true
	}
	return out
}

func TestReferenceHoldsTogether(t *testing.T) {
	text := string(Reference())
	headings := headingsOf(t, text)
	for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if a, here := strings.CutPrefix(m[1], "#"); here {
			if !headings[a] {
				t.Errorf("a link to #%s and no such heading", a)
			}
			continue
		}
		file, a, within := strings.Cut(m[1], "#")
		at := filepath.Join("../../docs", file)
		if _, err := os.Stat(at); err != nil {
			t.Errorf("a link to nothing: %v", err)
		}
		if b, err := os.ReadFile(at); within && (err != nil || !headingsOf(t, string(b))[a]) {
			t.Errorf("a link to %s, and no such heading", m[1])
		}
	}
	for _, d := range policy.Definitions {
		if !strings.Contains(text, "\n### `"+d.Key+"`\n") {
			t.Errorf("%s has no section", d.Key)
		}
		for _, f := range d.Fields {
			if !strings.Contains(text, "\n| `"+f.Key+"` | ") {
				t.Errorf("%s.%s has no row", d.Key, f.Key)
			}
		}
	}
	evenTables(t, text)
}

// evenTables: each row of a table has as many cells as the one above it.
func evenTables(t *testing.T, text string) {
	cells := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells != 0 && n != cells {
			t.Errorf("%d bars where the row above has %d: %s", n, cells, line)
		}
		cells = n
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape("a_b *c* <d> |e| [f](g) `h` \\ é."), `a\_b \*c\* \<d\> \|e\| \[f\](g) \`+"`h\\` \\\\ é."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
