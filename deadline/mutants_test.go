package deadline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are changes to deadline.go that the tests must notice. Each names a line as it stands and what it becomes.
var mutants = []struct{ was, becomes string }{
	{"if at <= m.input {", "if at < 0 {"},
	{"if at < m.Deadline() {", "if at <= m.Deadline() {"},
	{"if at < m.Deadline() {", "if true {"},
	{"if at > m.asked {", "if true {"},
	{"if m.open && at > m.secured {", "if at > m.secured {"},
	{"if m.open && at > m.secured {", "if m.open {"},
	{"case now >= due:", "case now > due:"},
	{"case now >= warn && m.state == Active:", "case now > warn && m.state == Active:"},
	{"case now < warn && m.state == Warned:", "case now <= warn && m.state == Warned:"},
	{"m.due, m.attempt = due, 1", "m.due, m.attempt = now, 1"},
	{"m.retry = add(now, m.pause())\n\t\tt.To", "m.retry = now\n\t\tt.To"},
	{"if now < m.retry {", "if now <= m.retry {"},
	{"m.attempt++", "m.attempt += 2"},
	{"if m.state == Secured {\n\t\tm.state, m.retry", "if true {\n\t\tm.state, m.retry"},
	{"m.state, m.retry, m.attempt, m.due = Expired, now, 0, now", "m.state, m.retry, m.attempt, m.due = Expired, now, 0, m.due"},
	{"if m.state == Expired || m.state == Secured {\n\t\tm.state, m.input", "if true {\n\t\tm.state, m.input"},
	{"max(m.input, at), Never, 0", "at, Never, 0"},
	{"min(max(m.limits.Warn, 0), m.limits.Idle/2)", "max(m.limits.Warn, 0)"},
	{"min(max(m.limits.Warn, 0), m.limits.Idle/2)", "min(m.limits.Warn, m.limits.Idle/2)"},
	{"m.nearer, m.asked = min(m.nearer, to), now", "m.nearer, m.asked = to, now"},
	{"return min(add(m.input, m.limits.Idle), m.nearer)", "return add(m.input, m.limits.Idle)"},
	{"if now < at {", "if now <= at {"},
	{"m.stage++\n\treturn", "m.stage = len(m.limits.Stages)\n\treturn"},
	{"m.secured, m.open, m.stage, m.redo, m.attempt = Secured, now, open, 0, 0, 0", "m.secured, m.open, m.redo, m.attempt = Secured, now, open, 0, 0"},
	{"m.secured, m.open, m.stage, m.redo, m.attempt = Secured, now, open, 0, 0, 0", "m.secured, m.open, m.stage, m.attempt = Secured, now, open, 0, 0"},
	{"m.stage, m.redo = m.stage-1, at", "m.redo = at"},
	{"if m.state == Secured && m.stage > 0 {", "if m.state == Secured {"},
	{"m.limits.Stages[m.stage]), m.redo)", "m.limits.Stages[m.stage]), 0)"},
	{"slices.Equal(l.Stages, m.limits.Stages)", "slices.Equal(l.Stages, nil)"},
	{"l.Stages[m.stage] <= told", "l.Stages[m.stage] < told"},
	{"if d > 0 && a > Never-d {", "if false {"},
	{"return time.Second", "return time.Minute"},
	{"case Warned:\n\t\treturn m.Deadline()", "case Warned:\n\t\treturn m.Deadline() + 1"},
	{"At: m.retry, Attempt", "At: now, Attempt"},
	{"t.To, t.At, t.Attempt = Expired, due, 1", "t.To, t.At, t.Attempt = Expired, now, 1"},
}

// TestMutants changes the machine in one place at a time and expects the tests to fail.
func TestMutants(t *testing.T) {
	if os.Getenv("STEPAWAY_MUTANT") != "" {
		return // inside a mutant
	}
	src, err := os.ReadFile("deadline.go")
	if err != nil {
		t.Fatal(err)
	}
	for i, mu := range mutants {
		t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
			t.Parallel()
			if bytes.Count(src, []byte(mu.was)) != 1 {
				t.Fatalf("%q does not stand exactly once in deadline.go", mu.was)
			}
			out, err := testMutant(t, strings.Replace(string(src), mu.was, mu.becomes, 1))
			if err == nil {
				t.Errorf("survived: %q instead of %q", mu.becomes, mu.was)
			} else if !bytes.Contains(out, []byte("FAIL: Test")) {
				t.Errorf("did not fail by a test: %s", out)
			}
		})
	}
}

func testMutant(t *testing.T, src string) ([]byte, error) {
	dir := t.TempDir()
	changed := filepath.Join(dir, "deadline.go")
	here, err := filepath.Abs("deadline.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{here: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{changed: src, filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-run", "^Test", ".")
	cmd.Env = append(os.Environ(), "STEPAWAY_MUTANT=1")
	return cmd.CombinedOutput()
}
