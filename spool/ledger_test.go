package spool

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ledger is what is known outside of a spool about it, from the lines of its workers: what must be in it, in which order,
// and what must never be.
type ledger struct {
	order  []string          // every event known to be stored, as run/n
	acked  int               // so many of them are acknowledged
	asked  int               // so many may be
	hashes map[string]string // of every record ever seen, by epoch and number
	ended  map[string]bool   // epochs that were left
	epoch  string
	forked bool // a new epoch may have begun

	view                  []string // the lines of an opening that is being told
	kills, forks, compact int
	errors                int
	wrong                 []string
	last                  []string // the last lines, for whoever has to find out
}

func newLedger() *ledger { return &ledger{hashes: map[string]string{}, ended: map[string]bool{}} }

func (l *ledger) bad(format string, a ...any) { l.wrong = append(l.wrong, fmt.Sprintf(format, a...)) }

// line takes a line of a worker. A view that is cut short, since its worker was killed, is forgotten.
func (l *ledger) line(text string) {
	l.last = append(l.last[max(0, len(l.last)-100):], text)
	f := strings.Fields(text)
	switch f[0] {
	case "open":
		l.view = []string{text}
	case "has":
		l.view = append(l.view, text)
	case "end":
		l.opened(strings.Fields(l.view[0]), l.view[1:])
	case "stored":
		l.store(f[1])
	case "ask":
		l.see(f[1], f[2], f[3])
		l.asked = max(l.asked, l.upTo(f[4]))
	case "acked":
		l.acked = max(l.acked, l.upTo(f[1]))
	case "fork":
		l.forked = true
	case "forked":
		l.enter(f[1])
	case "error":
		l.errors++
	case "opened":
	case "compacted":
		l.compact++
	default:
		l.bad("worker: %s", text)
	}
}

func (l *ledger) store(what string) {
	if !slices.Contains(l.order[max(0, len(l.order)-500):], what) { // the reader may have told it first
		l.order = append(l.order, what)
	}
}

// upTo is how many events there are up to one. One of the spool's own is not among them: it says nothing. An event that was
// read before its writer told of it is stored.
func (l *ledger) upTo(what string) int {
	if strings.HasPrefix(what, "-") {
		return 0
	}
	for i := len(l.order) - 1; i >= 0; i-- {
		if l.order[i] == what {
			return i + 1
		}
	}
	for _, w := range between(l.order, what) {
		l.store(w)
	}
	return len(l.order)
}

// between answers the events of the last run up to one that is not known yet.
func between(order []string, what string) (more []string) {
	run, n, _ := split(what)
	from := uint64(1)
	if len(order) > 0 {
		if last, had, _ := split(order[len(order)-1]); last == run {
			from = had + 1
		}
	}
	for ; from <= n; from++ {
		more = append(more, fmt.Sprintf("%s/%d", run, from))
	}
	return more
}

func split(what string) (run string, n uint64, err error) {
	run, number, _ := strings.Cut(what, "/")
	n, err = strconv.ParseUint(number, 10, 64)
	return run, n, err
}

// see notes the hash of a record: another one under its number is a number used twice.
func (l *ledger) see(epoch, seq, hash string) {
	at := epoch + " " + seq
	if had, known := l.hashes[at]; known && had != hash {
		l.bad("number %s of epoch %s was used twice", seq, epoch)
	}
	l.hashes[at] = hash
}

// enter begins or continues an epoch: another one only where that was asked for, and none twice.
func (l *ledger) enter(epoch string) {
	if epoch != l.epoch {
		if l.epoch != "" && !l.forked || l.ended[epoch] {
			l.bad("epoch %s after %s", epoch, l.epoch)
		}
		l.ended[l.epoch], l.epoch, l.forks = true, epoch, l.forks+1
	}
	l.forked = false
}

// opened compares what an opening found with what is known.
func (l *ledger) opened(head []string, has []string) {
	epoch, last, first, code := head[1], number(head[2]), number(head[3])+1, head[4]
	if code != "code=" {
		l.bad("opened with %s", code)
	}
	l.enter(epoch)
	var waiting []string
	for i, text := range has {
		f := strings.Fields(text)
		if number(f[1]) != first+uint64(i) {
			l.bad("number %s where %d was due", f[1], first+uint64(i))
		}
		l.see(epoch, f[1], f[2])
		switch {
		case !strings.HasPrefix(f[3], "-"):
			waiting = append(waiting, f[3])
		case f[3] != "-spool.rollback":
			l.bad("event %s says %s", f[1], f[3][1:])
		}
	}
	if first+uint64(len(has)) != last+1 {
		l.bad("%d records from %d on, the head is %d", len(has), first, last)
	}
	l.compare(waiting)
}

// compare wants the events that wait to be the end of those that are known, each once, and beyond them what was stored and
// not told.
func (l *ledger) compare(waiting []string) {
	from := l.asked
	if len(waiting) > 0 {
		if i := slices.Index(l.order, waiting[0]); i >= 0 {
			from = i
		} else if l.asked < len(l.order) {
			l.bad("%d events are gone: %s is first, and up to %s may be acknowledged", len(l.order)-l.asked, waiting[0], l.nth(l.asked-1))
			return
		}
	}
	if len(waiting) == 0 {
		from = len(l.order)
	}
	rest := l.order[min(from, len(l.order)):]
	switch {
	case from > l.asked:
		l.bad("%d events are gone: up to %s may be acknowledged, the spool begins after %s", from-l.asked, l.nth(l.asked-1), l.nth(from-1))
	case from < l.acked:
		l.bad("%d events are back that were acknowledged", l.acked-from)
	case len(waiting) < len(rest) || !slices.Equal(rest, waiting[:len(rest)]):
		l.bad("the events from %s on are not as they were stored: %d of %d", l.nth(from), len(waiting), len(rest))
	default:
		l.unseen(waiting[len(rest):])
	}
	l.acked = max(l.acked, min(from, len(l.order)))
	l.asked = max(l.asked, l.acked)
}

// unseen takes events that were stored and not told: they follow on what is known.
func (l *ledger) unseen(more []string) {
	for _, what := range more {
		if next := between(l.order, what); len(next) != 1 {
			l.bad("%s was stored, and %d before it are not there", what, len(next)-1)
		}
		l.order = append(l.order, what)
	}
}

func (l *ledger) nth(i int) string {
	if i < 0 || i >= len(l.order) {
		return "nothing"
	}
	return l.order[i]
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 1 << 63
	}
	return n
}
