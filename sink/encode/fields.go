package encode

import (
	"math"
	"strconv"
	"time"

	"stepaway/audit"
)

// field is one part of an event under its name, which is the same in every format and in the CSV export.
type field struct {
	name string
	text string
	kind kind
}

type kind uint8

const (
	text kind = iota
	number
	yesNo
)

// fields lists what the event holds; what is empty is left out.
func (e Entry) fields() []field {
	l := list{}
	l.text("id", e.ID())
	l.text("type", string(e.Type))
	l.text("severity", string(e.Severity))
	l.text("outcome", string(e.Outcome))
	l.text("reason", string(e.Reason))
	l.text("device", string(e.Device))
	l.text("site", string(e.Site))
	l.text("unit", string(e.Unit))
	l.text("wall", e.Wall.UTC().Format(time.RFC3339Nano))
	l.add(field{"synced", strconv.FormatBool(e.Synced), yesNo})
	l.text("boot", e.Boot)
	l.add(field{"boot_ms", strconv.FormatInt(e.BootMS, 10), number})
	l.session(e.Session)
	l.facts(e.Facts)
	l.text("agent", e.Agent)
	l.text("policy", e.Policy)
	l.text("run", e.Run)
	l.count("n", e.N)
	l.text("epoch", e.Epoch)
	l.count("seq", e.Seq)
	l.text("prev", e.Prev)
	l.text("hash", e.Hash)
	return l
}

type list []field

func (l *list) add(f field) { *l = append(*l, f) }

func (l *list) text(name, s string) {
	if s != "" {
		l.add(field{name, clean(s), text})
	}
}

// count adds a number unless it is 0; what no signed number can hold goes as text.
func (l *list) count(name string, n uint64) {
	switch {
	case n > math.MaxInt64:
		l.add(field{name, strconv.FormatUint(n, 10), text})
	case n > 0:
		l.add(field{name, strconv.FormatUint(n, 10), number})
	}
}

func (l *list) signed(name string, n int64) {
	if n != 0 {
		l.add(field{name, strconv.FormatInt(n, 10), number})
	}
}

func (l *list) ms(name string, p *int64) {
	if p != nil {
		l.add(field{name, strconv.FormatInt(*p, 10), number})
	}
}

func (l *list) session(s *audit.Session) {
	if s == nil {
		return
	}
	l.text("session", string(s.ID))
	l.text("kind", string(s.Kind))
	l.add(field{"uid", strconv.FormatUint(uint64(s.UID), 10), number})
	l.text("sid", string(s.SID))
	l.text("user", string(s.User))
	l.text("role", string(s.Role))
	l.text("seat", string(s.Seat))
}

func (l *list) facts(f *audit.Facts) {
	if f == nil {
		return
	}
	l.ms("idle_ms", f.IdleMS)
	l.ms("late_ms", f.LateMS)
	l.ms("limit_ms", f.LimitMS)
	l.text("rung", string(f.Rung))
	l.text("proof", string(f.Proof))
	l.signed("attempt", int64(f.Attempt))
	l.text("source", string(f.Source))
	l.text("client", string(f.Client))
	l.text("key", string(f.Key))
	l.text("old", string(f.Old))
	l.text("new", string(f.New))
	l.signed("count", f.Count)
	l.count("from", f.From)
	l.count("to", f.To)
	l.text("code", string(f.Code))
	l.text("ref", string(f.Ref))
}
