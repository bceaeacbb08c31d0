package spool

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestKilled kills a process that appends, acknowledges, compacts and begins new epochs: whatever it had told is there, each
// event once and in order, and no number was used twice. One kill in four meets the opening of the spool.
func TestKilled(t *testing.T) {
	const chains = 4
	kills := times(fewKills, 10_000)
	ledgers := make([]*ledger, chains)
	var done atomic.Int64
	t.Run("chains", func(t *testing.T) {
		for i := range chains {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				dir, l := t.TempDir(), newLedger()
				ledgers[i] = l
				for range kills / chains {
					killOnce(t, dir, l)
					if len(l.wrong) > 0 {
						t.Fatalf("after %d kills: %v\n%s", l.kills, l.wrong, strings.Join(l.last, "\n"))
					}
					progress(t, int(done.Add(1)), kills)
				}
			})
		}
	})
	events, acked, epochs, compactions := 0, 0, 0, 0
	for _, l := range ledgers {
		events, acked, epochs, compactions = events+len(l.order), acked+l.acked, epochs+l.forks, compactions+l.compact
	}
	t.Logf("%d kills: %d events, %d acknowledged, %d epochs, %d compactions", kills, events, acked, epochs, compactions)
	if acked == 0 || compactions == 0 || epochs <= chains {
		t.Error("nothing was acknowledged, the file never compacted, or no epoch ended")
	}
}

// killOnce kills a child in the middle of its work, however fast that goes, and one in four while it still opens the spool.
func killOnce(t *testing.T, dir string, l *ledger) {
	t.Helper()
	far := make(chan struct{})
	told, most := 0, 1+rand.IntN(longestLife)
	c := startWorker(t, asWriter, dir, func(text string) {
		l.line(text)
		if told == 0 && text != "end" {
			return
		}
		if told++; told == most {
			close(far)
		}
	})
	if rand.IntN(4) > 0 {
		select {
		case <-far:
		case <-c.done:
		case <-time.After(time.Minute):
			t.Error("the child did not get on in a minute")
		}
		time.Sleep(rand.N(2 * time.Millisecond))
	} else {
		time.Sleep(rand.N(40 * time.Millisecond))
	}
	c.kill(t)
	l.kills++
}

// TestLedger: the ledger sees what may go wrong with a spool.
func TestLedger(t *testing.T) {
	const told = "open a 0 0 code=;end;stored r/1;stored r/2;stored r/3;ask a 1 h1 r/1;"
	for name, c := range map[string]struct{ lines, wrong string }{
		"nothing":               {told + "open a 3 0 code=;has 1 h1 r/1;has 2 h2 r/2;has 3 h3 r/3;end", ""},
		"acknowledged":          {told + "open a 3 1 code=;has 2 h2 r/2;has 3 h3 r/3;end", ""},
		"one more":              {told + "open a 4 1 code=;has 2 h2 r/2;has 3 h3 r/3;has 4 h4 r/4;end", ""},
		"cut short":             {told + "open a 3 0 code=;has 1 h1 r/1", ""},
		"a new epoch":           {told + "fork;open b 4 0 code=;has 1 g -spool.rollback;has 2 h r/1;has 3 i r/2;has 4 j r/3;end", ""},
		"last one lost":         {told + "open a 2 1 code=;has 2 h2 r/2;end", "not as they were stored"},
		"first one lost":        {told + "open a 3 2 code=;has 3 h3 r/3;end", "1 events are gone"},
		"all lost":              {told + "open a 0 0 code=;end", "2 events are gone"},
		"back again":            {told + "acked r/1;open a 3 0 code=;has 1 h1 r/1;has 2 h2 r/2;has 3 h3 r/3;end", "are back"},
		"twice":                 {told + "open a 4 1 code=;has 2 h2 r/2;has 3 h3 r/3;has 4 h4 r/3;end", "before it are not there"},
		"out of order":          {told + "open a 3 1 code=;has 2 h2 r/3;has 3 h3 r/2;end", "1 events are gone"},
		"a number used twice":   {told + "open a 3 0 code=;has 1 xx r/1;has 2 h2 r/2;has 3 h3 r/3;end", "used twice"},
		"a hole in the numbers": {told + "open a 4 1 code=;has 2 h2 r/2;has 4 h3 r/3;end", "where 3 was due"},
		"an epoch not asked":    {told + "open b 3 1 code=;has 2 h2 r/2;has 3 h3 r/3;end", "epoch b after a"},
		"an old epoch":          {told + "fork;forked b;fork;open a 3 1 code=;has 2 h2 r/2;has 3 h3 r/3;end", "epoch a after b"},
		"set aside":             {told + "open a 3 1 code=damaged;has 2 h2 r/2;has 3 h3 r/3;end", "code=damaged"},
		"a gap told":            {told + "open a 4 1 code=;has 2 h2 r/2;has 3 g -spool.gap;has 4 h3 r/3;end", "says spool.gap"},
		"the child's words":     {told + "failed: no room", "no room"},
	} {
		l := newLedger()
		for _, text := range strings.Split(strings.TrimSuffix(c.lines, ";"), ";") {
			l.line(text)
		}
		if got := strings.Join(l.wrong, "; "); (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q, want %q", name, got, c.wrong)
		}
	}
}
