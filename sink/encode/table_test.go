package encode

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"stepaway/audit"
)

// TestEveryTypeIsMapped: a new event type says what it is in other systems.
func TestEveryTypeIsMapped(t *testing.T) {
	titles := map[string]audit.Type{}
	for _, typ := range audit.Types() {
		r, ok := rows[typ]
		if !ok {
			t.Errorf("%s has no row in sink/encode/table.go: add one, and run go test ./sink/encode -update", typ)
			continue
		}
		if r.Title == "" || titles[r.Title] != "" || r.Event != activity && r.Event != alert && r.Event != logon {
			t.Errorf("%s: %+v, title also of %s", typ, r, titles[r.Title])
		}
		if (r.Event == logon) != (r.Type == login || r.Type == logout) {
			t.Errorf("%s: user authentication is a login or a logout, and nothing else is: %+v", typ, r)
		}
		if r.Outcome != 0 && r.Outcome != minor && r.Outcome != serious && r.Outcome != major {
			t.Errorf("%s: outcome %d", typ, r.Outcome)
		}
		titles[r.Title] = typ
	}
	if len(rows) != len(audit.Types()) {
		t.Errorf("%d rows for %d types", len(rows), len(audit.Types()))
	}
}

// Marks around the generated table in docs/delivery.md.
const (
	tableBegin = "<!-- table of event types: written by go test ./sink/encode -update -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// TestTheTableInTheDocs holds docs/delivery.md to the table in code.
func TestTheTableInTheDocs(t *testing.T) {
	const path = "../../docs/delivery.md"
	doc, err := os.ReadFile(path)
	check(t, err)
	before, rest, ok := bytes.Cut(doc, []byte(tableBegin))
	is, after, ok2 := bytes.Cut(rest, []byte(tableEnd))
	if !ok || !ok2 {
		t.Fatal("no table in docs/delivery.md")
	}
	want := []byte(markdown())
	if *update {
		check(t, os.WriteFile(path, bytes.Join([][]byte{before, []byte(tableBegin), want, []byte(tableEnd), after}, nil), 0o644))
		return
	}
	if !bytes.Equal(is, want) {
		t.Error("the table in docs/delivery.md is not that in code: run go test ./sink/encode -update")
	}
}

func markdown() string {
	var b strings.Builder
	b.WriteString("| event | in words | DICOM EventID, FHIR type | DICOM EventTypeCode, FHIR subtype | outcome | syslog | OTLP |\n|---|---|---|---|---|---|---|\n")
	for _, typ := range audit.Types() {
		r := RowOf(typ)
		severity, _ := audit.SeverityOf(typ)
		n, text := OTLPSeverity(severity)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %d | %d | %d %s |\n", typ, r.Title, r.Event.String(), r.Type.String(), r.Outcome,
			SyslogSeverity(severity), n, text)
	}
	return b.String()
}

func (c Code) String() string { return strings.TrimSpace(c.Value + " " + c.Meaning) }
