package encode

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stepaway/audit"
)

// ordinary is an event as the enforcer makes it.
func ordinary() Entry {
	e := audit.Event{V: audit.Version, Type: audit.LockProved, Device: "ws-0417", Site: "North", Unit: "ward 3", Epoch: "00c0ffee00c0ffee",
		Seq: 42, Boot: "e2b1-77", Run: "0000abcd", N: 7, Wall: time.Date(2026, 11, 22, 9, 30, 15, 123456789, time.UTC), BootMS: 86_400_000,
		Synced: true, Agent: "v1.2.3", Severity: audit.Info, Outcome: audit.Success, Reason: audit.Idle,
		Session: &audit.Session{ID: "2", Kind: "x11", UID: 1000, User: "nurse.joy", Role: "clinical", Seat: "seat0"},
		Facts:   &audit.Facts{IdleMS: audit.MS(15 * time.Minute), LateMS: audit.MS(12 * time.Millisecond), Rung: "logind", Proof: "locker", Attempt: 1},
		Prev:    audit.Zero}
	return entryOf(e)
}

func entryOf(e audit.Event) Entry {
	_, hash, _ := audit.Encode(e)
	return Entry{e, hash}
}

// full is an event of a type with something in every field: every text is made by text, every number is n.
func full(typ audit.Type, n uint64, text func(field string) string) Entry {
	severity, _ := audit.SeverityOf(typ)
	e := audit.Event{V: audit.Version, Session: &audit.Session{}, Facts: &audit.Facts{}}
	fill(reflect.ValueOf(&e).Elem(), n, text)
	e.Type, e.Severity, e.Outcome, e.Reason = typ, severity, audit.Failure, audit.UnknownReason
	e.V, e.Wall = audit.Version, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return Entry{e, audit.Zero}
}

func fill(v reflect.Value, n uint64, text func(string) string) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString(text(v.Type().Field(i).Name))
		case reflect.Uint64, reflect.Uint32:
			f.SetUint(n & (1<<f.Type().Bits() - 1))
		case reflect.Int64, reflect.Int:
			f.SetInt(int64(n))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Pointer:
			if f.Type().Elem().Kind() == reflect.Int64 {
				m := int64(n)
				f.Set(reflect.ValueOf(&m))
				continue
			}
			fill(f.Elem(), n, text)
		}
	}
}

// longest are events with the longest labels there can be, of every type.
func longest() (es []Entry) {
	for _, t := range audit.Types() {
		es = append(es, full(t, 1<<63-1, func(string) string { return strings.Repeat("W", 64) }))
	}
	return es
}

// entries are one ordinary event of every type, with and without a session.
func entries() (es []Entry) {
	for i, t := range audit.Types() {
		e := ordinary().Event
		e.Type, e.Seq = t, uint64(i+1)
		e.Severity, _ = audit.SeverityOf(t)
		es = append(es, entryOf(e))
		e.Session, e.Facts, e.Outcome, e.Seq = nil, &audit.Facts{Code: "test", Count: 3}, audit.Failure, uint64(i+1001)
		es = append(es, entryOf(e))
	}
	return es
}

// hostile are texts that no event may hold and that an encoder has to survive all the same.
var hostile = []string{"", `"`, `\`, `]`, `a"b\c]d`, "\n", "a\nb", "\r\n<13>1 - - - - - -", "\x00", "\x1b[2J", "\x7f", "\u202egnp.exe", "\u2066x\u2069",
	"\u200b", "\ufeff", "\u2028", "\u0085", "\xff\xfe", "\xf0\x28", "é", "\U0001F512", "<script>", "]]>", "&amp;", "<!--", "a=1 b=2", "é\u0301",
	strings.Repeat("x", 5000), "=cmd|'/c calc'!A0", "\ue000", "%s%n"}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func words(s string) map[string]bool {
	ws := map[string]bool{}
	for _, w := range strings.FieldsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}) {
		ws[w] = true
	}
	return ws
}

// fieldMap gives the fields of an entry by name.
func fieldMap(e Entry) map[string]string {
	m := map[string]string{}
	for _, f := range e.fields() {
		if _, twice := m[f.name]; twice {
			panic(fmt.Sprint("field written twice: ", f.name))
		}
		m[f.name] = f.text
	}
	return m
}
