package encode

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"stepaway/audit"
)

var update = flag.Bool("update", false, "write golden files and the table in docs/delivery.md anew")

// golden holds one file against what is encoded.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(got, bytes.TrimSuffix(want, []byte("\n"))) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestGolden(t *testing.T) {
	e := ordinary()
	golden(t, "event.syslog", Syslog{}.Message(e))
	atna, err := Syslog{}.ATNA(e)
	check(t, err)
	golden(t, "event.atna", atna)
	dicom, err := DICOM(e)
	check(t, err)
	golden(t, "event.dicom.xml", dicom)
	fhir, err := FHIR(e)
	check(t, err)
	golden(t, "event.fhir.json", fhir)
	batch, err := FHIRBatch([]Entry{e})
	check(t, err)
	golden(t, "event.fhir-batch.json", batch)
	otlp, err := OTLP([]Entry{e})
	check(t, err)
	golden(t, "event.otlp.json", otlp)
}

// TestID: an id is that of the event and of nothing else, and anybody can compute it.
func TestID(t *testing.T) {
	e := ordinary()
	id := e.ID()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("%s is no UUID of version 5", id)
	}
	out, err := exec.Command("python3", "-c", "import uuid,sys; print(uuid.uuid5(uuid.UUID(sys.argv[1]), sys.argv[2]))", Namespace,
		"ws-0417/00c0ffee00c0ffee/42").Output()
	if err != nil {
		t.Fatalf("python3: %v; run `make deps`", err)
	}
	if got := strings.TrimSpace(string(out)); got != id {
		t.Errorf("python says %s, we say %s", got, id)
	}
	other := e
	other.Severity, other.Facts, other.Hash, other.Agent = audit.Alert, nil, "x", "v9"
	if other.ID() != id {
		t.Error("the id depends on more than device, epoch and number")
	}
	seen := map[string]bool{id: true}
	for _, change := range []func(*Entry){func(e *Entry) { e.Seq++ }, func(e *Entry) { e.Epoch = "00c0ffee00c0ffef" }, func(e *Entry) { e.Device = "ws-0418" }} {
		c := e
		change(&c)
		if seen[c.ID()] {
			t.Error("two events have one id")
		}
		seen[c.ID()] = true
	}
}

// TestEveryFieldGoesOut: what audit adds to an event must be thought of here.
func TestEveryFieldGoesOut(t *testing.T) {
	n := uint64(1000)
	e := full(audit.LockFailed, n, func(field string) string { return "value-" + strings.ToLower(field) })
	got := map[string]bool{}
	for _, text := range fieldMap(e) {
		got[text] = true
	}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			if f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.Struct {
				walk(f.Elem())
			}
			if f.Kind() == reflect.String && !got[f.String()] {
				t.Errorf("field %s is not sent", name)
			}
		}
	}
	walk(reflect.ValueOf(e.Event))
	numbers := 0
	for _, text := range fieldMap(e) {
		if text == "1000" {
			numbers++
		}
	}
	if numbers != 11 {
		t.Errorf("%d numbers are sent, an event has 11", numbers)
	}
}

func TestNumbersBeyondSigned(t *testing.T) {
	e := full(audit.SpoolGap, math.MaxUint64, func(string) string { return "x" })
	for _, f := range e.fields() {
		if f.kind == number && f.text == "18446744073709551615" {
			t.Errorf("%s does not fit the numbers of OTLP", f.name)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ~":            "plain ~",
		"a\x00b":             `a\u0000b`,
		"a\nb\r":             `a\u000ab\u000d`,
		"\u202egnp":          `\u202egnp`,
		"\u2066\u2069":       `\u2066\u2069`,
		"\u200b\ufeff":       `\u200b\ufeff`,
		"\u2028\u0085":       `\u2028\u0085`,
		"\xff":               `\u00ff`,
		"M\u00fcller":        "M\u00fcller",
		"\U0001F512":         "\U0001F512",
		"\U000E0041":         `\ue0041`,
		"\ue000":             `\ue000`,
		"a\u00a0b":           `a\u00a0b`,
		string(rune(0xFFFD)): "\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestSyslog reads every message back by a strict parser: the header, the escapes, every field.
func TestSyslog(t *testing.T) {
	s := Syslog{Enterprise: 99999}
	for _, e := range append(entries(), longest()...) {
		text := string(s.Message(e))
		m, err := parseMessage(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Type, err, text)
		}
		if got := m.data["stepaway@99999"]; !maps.Equal(got, fieldMap(e)) {
			t.Errorf("%s: read back %v, want %v", e.Type, got, fieldMap(e))
		}
		if m.priority != 80+SyslogSeverity(e.Severity) || m.id != string(e.Type) || m.app != "stepaway" || m.host != string(e.Device) {
			t.Errorf("%s: header %+v", e.Type, m)
		}
		if m.data["timeQuality"]["isSynced"] != "1" || len(m.data["origin"]["swVersion"]) > 32 || m.data["origin"]["software"] != "stepaway" {
			t.Errorf("%s: %v", e.Type, m.data)
		}
		if len(text) > 8192 {
			t.Errorf("%s: %d bytes, receivers should take 8192", e.Type, len(text))
		}
	}
	e := ordinary()
	e.Device = ""
	if m, err := parseMessage(string(Syslog{Host: "host 1"}.Message(e))); err != nil || m.host != "host_1" || m.data["stepaway@0"] == nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestATNA(t *testing.T) {
	for _, e := range entries() {
		text, err := Syslog{}.ATNA(e)
		check(t, err)
		m, err := parseMessage(string(text))
		check(t, err)
		want := 85
		if e.outcome() > 0 {
			want = 84
		}
		if m.priority != want || m.id != "IHE+RFC-3881" || len(m.data) != 0 {
			t.Errorf("%s: %+v", e.Type, m)
		}
		d, fields, err := parseDICOM([]byte(m.msg))
		if err != nil || !maps.Equal(fields, fieldMap(e)) || d.Object.ID != "urn:uuid:"+e.ID() {
			t.Errorf("%s: %v, %v", e.Type, fields, err)
		}
	}
}

// TestDICOMSchema has xmllint validate a message of every type against the schema of PS3.15 A.5.
func TestDICOMSchema(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--noout", "--relaxng", "testdata/audit-message.rng"}
	add := func(name string, body []byte) {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, body, 0o644))
		args = append(args, path)
	}
	all := append(entries(), longest()...)
	for i, e := range all {
		body, err := DICOM(e)
		check(t, err)
		add(fmt.Sprintf("%03d.xml", i), body)
	}
	if out, err := exec.Command("xmllint", args...).CombinedOutput(); err != nil {
		t.Fatalf("xmllint: %v; without xmllint run `make deps`\n%s", err, out)
	}
	body, err := DICOM(ordinary())
	check(t, err)
	for name, change := range map[string][2]string{
		"code for csd-code":      {"csd-code", "code"},
		"no node":                {` NetworkAccessPointTypeCode="1"`, ""},
		"another outcome":        {`EventOutcomeIndicator="0"`, `EventOutcomeIndicator="5"`},
		"local time":             {`EventDateTime="`, `EventDateTime="x`},
		"no source":              {"AuditSourceIdentification", "Source"},
		"detail not base64":      {`type="id" value="`, `type="id" value="A`},
		"no originalText":        {"originalText", "text"},
		"requestor no boolean":   {`UserIsRequestor="false"`, `UserIsRequestor="no"`},
		"an event of no kind":    {`csd-code="1101`, `csd-code="9901`},
		"nobody taking part":     {"ActiveParticipant", "Participant"},
		"name missing of object": {"ParticipantObjectName", "Name"},
	} {
		bad := strings.ReplaceAll(string(body), change[0], change[1])
		if bad == string(body) {
			t.Errorf("%s: nothing was changed in %s", name, body)
		}
		path := filepath.Join(dir, "bad.xml")
		check(t, os.WriteFile(path, []byte(bad), 0o644))
		if exec.Command("xmllint", "--noout", "--relaxng", "testdata/audit-message.rng", path).Run() == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// TestAuthentication: a lock is a logout, of the person, brought about by the node; coming back is a login, by the person.
func TestAuthentication(t *testing.T) {
	for typ, want := range map[audit.Type]struct {
		code      string
		requestor bool
	}{audit.LockProved: {"110123", false}, audit.SignoutDone: {"110123", false}, audit.UnlockSeen: {"110122", true}, audit.SessionStart: {"110122", true}} {
		e := ordinary()
		e.Type = typ
		body, err := DICOM(e)
		check(t, err)
		d, _, err := parseDICOM(body)
		check(t, err)
		if d.Event.ID.Code != "110114" || d.Event.Types[0].Code != want.code || d.Event.Types[1].Code != string(typ) || d.Event.Action != "E" ||
			d.Participants[0].User != "nurse.joy" || d.Participants[0].Requestor != want.requestor || d.Participants[1].Requestor == want.requestor ||
			d.Participants[0].Node != "ws-0417" || d.Participants[0].NodeKind != "1" {
			t.Errorf("%s: %s", typ, body)
		}
	}
}

func TestOutcome(t *testing.T) {
	e := ordinary()
	for _, c := range []struct {
		typ     audit.Type
		outcome audit.Outcome
		want    int
	}{{audit.LockProved, audit.Success, 0}, {audit.LockProved, audit.Failure, 4}, {audit.LockFailed, audit.Failure, 8},
		{audit.LockFailed, audit.Success, 8}, {audit.TamperSeen, audit.Failure, 12}, {"no.such", audit.Success, 4}} {
		e.Type, e.Outcome = c.typ, c.outcome
		if e.outcome() != c.want {
			t.Errorf("%s %s: %d, want %d", c.typ, c.outcome, e.outcome(), c.want)
		}
	}
}

// TestOneRecordAnEvent: whatever a field holds, exactly one record comes out, it parses, and nothing in it is hidden.
func TestOneRecordAnEvent(t *testing.T) {
	for i, s := range hostile {
		oneRecord(t, s, hostile[(i*7+3)%len(hostile)])
	}
}

func FuzzOneRecordAnEvent(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, hostile[(i*5+1)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, a, b string) { oneRecord(t, a, b) })
}

func oneRecord(t *testing.T, a, b string) {
	t.Helper()
	if len(a)+len(b) > 20_000 {
		return
	}
	first := true
	e := full(audit.LockProved, 7, func(string) string { first = !first; return map[bool]string{true: a, false: b}[first] })
	want := fieldMap(e)
	for name, v := range want {
		if strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) || !utf8.ValidString(v) {
			t.Fatalf("%s holds something hidden: %q", name, v)
		}
	}
	var frames bytes.Buffer
	s := Syslog{}
	atna, err := s.ATNA(e)
	check(t, err)
	Frame(&frames, s.Message(e))
	Frame(&frames, atna)
	ms, err := unframe(frames.String())
	if err != nil || len(ms) != 2 {
		t.Fatalf("%d frames, %v", len(ms), err)
	}
	m, err := parseMessage(ms[0])
	if err != nil || !maps.Equal(m.data["stepaway@0"], want) || strings.ContainsAny(ms[0], "\n\r\x00\x1b") {
		t.Fatalf("%v: %q", err, ms[0])
	}
	if m, err = parseMessage(ms[1]); err != nil {
		t.Fatal(err)
	}
	_, fields, err := parseDICOM([]byte(m.msg))
	if err != nil || !maps.Equal(fields, want) || strings.ContainsAny(m.msg, "\n\r\x00\x1b") {
		t.Fatalf("%v: %q", err, m.msg)
	}
	body, err := FHIR(e)
	check(t, err)
	if _, fields, err = parseFHIR(body); err != nil || !maps.Equal(fields, want) || bytes.ContainsAny(body, "\n\r\x00\x1b") {
		t.Fatalf("%v: %s", err, body)
	}
	body, err = OTLP([]Entry{e, e})
	check(t, err)
	all, err := parseOTLP(body)
	if err != nil || len(all) != 2 || !maps.Equal(all[0], want) || bytes.ContainsAny(body, "\n\r\x00\x1b") {
		t.Fatalf("%v: %s", err, body)
	}
}

// TestNothingButTheEvent: every word that goes out is one of the event or one that goes out for any event of its type.
func TestNothingButTheEvent(t *testing.T) {
	t.Setenv("CANARY", "canary-in-the-environment")
	for _, typ := range audit.Types() {
		e := full(typ, 12345, func(field string) string { return "Value" + field })
		empty := Entry{Event: audit.Event{V: audit.Version, Type: typ, Device: "x", Agent: "x", Session: &audit.Session{}, Facts: &audit.Facts{Code: "x"}, Wall: e.Wall,
			Severity: e.Severity, Outcome: e.Outcome, Reason: e.Reason}}
		body, _, err := audit.Encode(e.Event)
		check(t, err)
		may := words(string(body) + " " + e.ID() + " " + e.Hash + " " + e.Wall.Format(time.RFC3339Nano))
		for _, f := range e.fields() {
			may[f.name] = true
			for w := range words(f.text) {
				may[w] = true
			}
		}
		for name, of := range formats {
			for w := range words(of(t, empty)) {
				may[w] = true
			}
			for w := range words(of(t, e)) {
				if !may[w] {
					t.Errorf("%s as %s: %q is neither of the event nor of every event of the type", typ, name, w)
				}
			}
		}
	}
}

// formats give an entry as text; what DICOM writes in base64 is decoded, and numbers of time left out.
var formats = map[string]func(*testing.T, Entry) string{
	"syslog": func(_ *testing.T, e Entry) string { return string(Syslog{}.Message(e)) },
	"dicom": func(t *testing.T, e Entry) string {
		b, err := DICOM(e)
		check(t, err)
		m, fields, err := parseDICOM(b)
		check(t, err)
		m.Object.Details = nil
		return fmt.Sprint(m, fields)
	},
	"fhir": func(t *testing.T, e Entry) string {
		b, err := FHIRBatch([]Entry{e})
		check(t, err)
		return string(b)
	},
	"otlp": func(t *testing.T, e Entry) string {
		b, err := OTLP([]Entry{e})
		check(t, err)
		return string(b)
	},
}

// TestFHIRValid has the npm package fhir validate an event of every type, and refuse ones that are made wrong.
func TestFHIRValid(t *testing.T) {
	cache, err := os.UserCacheDir()
	check(t, err)
	var lines []string
	for _, e := range append(entries(), longest()...) {
		body, err := FHIR(e)
		check(t, err)
		lines = append(lines, string(body))
	}
	good := len(lines)
	batch, err := FHIRBatch(entries()[:5])
	check(t, err)
	lines = append(lines, string(batch))
	good++
	body, err := FHIR(ordinary())
	check(t, err)
	for _, change := range [][2]string{
		{`"action":"E"`, `"action":"X"`}, {`"outcome":"0"`, `"outcome":"1"`}, {`"recorded"`, `"recording"`}, {`"requestor":false`, `"requestor":"no"`},
		{`"observer"`, `"watcher"`}, {`"AuditEvent"`, `"AuditThing"`}, {`"type":{"system"`, `"kind":{"system"`}, {`,"network"`, `,"networks"`},
	} {
		bad := strings.ReplaceAll(string(body), change[0], change[1])
		if bad == string(body) {
			t.Fatalf("%s is not in %s", change[0], body)
		}
		lines = append(lines, bad)
	}
	file := filepath.Join(t.TempDir(), "events.ndjson")
	check(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644))
	out, err := exec.Command("node", "testdata/validate.js", filepath.Join(cache, "stepaway-test", "fhir-4.12.0", "node_modules"), file).CombinedOutput()
	if err != nil {
		t.Fatalf("validate: %v; without node or its package run `make deps`\n%s", err, out)
	}
	said := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(said) != len(lines) {
		t.Fatalf("%d answers for %d resources: %s", len(said), len(lines), out)
	}
	for i, s := range said {
		if (s == "") != (i < good) {
			t.Errorf("%s\n%s", s, lines[i])
		}
	}
}

// TestInstants: what the FHIR validator does not look at.
func TestInstants(t *testing.T) {
	instant := regexp.MustCompile(`^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$`)
	e := ordinary()
	for _, at := range []time.Time{e.Wall, e.Wall.In(time.FixedZone("x", 5*3600+1800)), time.Unix(0, 0), e.Wall.Truncate(time.Hour)} {
		e.Wall = at
		if got := e.fhir().Recorded; !instant.MatchString(got) || got != e.dicomEvent().Time {
			t.Errorf("%s, %s", got, e.dicomEvent().Time)
		}
	}
}
