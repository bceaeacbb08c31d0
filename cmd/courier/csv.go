package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"stepaway/audit"
)

// csvSink prints one row an event. No cell can be taken for a formula.
type csvSink struct{ w *csv.Writer }

var csvHeads = []string{"epoch", "seq", "wall", "synced", "boot_ms", "type", "severity", "outcome", "reason", "device", "site",
	"unit", "session", "kind", "uid", "sid", "user", "role", "seat", "idle_ms", "late_ms", "limit_ms", "rung", "proof", "attempt",
	"source", "client", "key", "old", "new", "count", "from", "to", "code", "ref", "run", "n", "agent", "policy", "hash"}

func newCSV(w io.Writer) exporter {
	c := &csvSink{w: csv.NewWriter(w)}
	_ = c.w.Write(csvHeads) // an error stays until end
	return c
}

func (c *csvSink) end() error {
	c.w.Flush()
	return c.w.Error()
}

func (c *csvSink) event(e audit.Event, r audit.Record) error {
	var s audit.Session
	uid := ""
	if e.Session != nil {
		s, uid = *e.Session, strconv.FormatUint(uint64(e.Session.UID), 10)
	}
	var f audit.Facts
	if e.Facts != nil {
		f = *e.Facts
	}
	row := []string{e.Epoch, num(e.Seq), e.Wall.Format(time.RFC3339Nano), strconv.FormatBool(e.Synced), strconv.FormatInt(e.BootMS, 10),
		string(e.Type), string(e.Severity), string(e.Outcome), string(e.Reason), string(e.Device), string(e.Site),
		string(e.Unit), string(s.ID), string(s.Kind), uid, string(s.SID), string(s.User), string(s.Role), string(s.Seat),
		ms(f.IdleMS), ms(f.LateMS), ms(f.LimitMS), string(f.Rung), string(f.Proof), num(uint64(max(f.Attempt, 0))),
		string(f.Source), string(f.Client), string(f.Key), string(f.Old), string(f.New), num(uint64(max(f.Count, 0))),
		num(f.From), num(f.To), string(f.Code), string(f.Ref), e.Run, num(e.N), e.Agent, e.Policy, r.Hash}
	for i := range row {
		row[i] = guardCell(row[i])
	}
	return c.w.Write(row)
}

// guardCell keeps a spreadsheet from taking a cell for a formula. A number may begin with a minus.
func guardCell(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s
	}
	return "'" + s
}

func num(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func ms(p *int64) string {
	if p == nil {
		return ""
	}
	return strconv.FormatInt(*p, 10)
}
