package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
)

func TestAppendReadAckAndOpenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	o := Options{Device: "ws-1", Site: "north", Unit: "ward 3"}
	s, r := open(t, dir, o)
	if r.Code != "" || r.Head != 0 || len(r.Epoch) != 16 {
		t.Fatalf("new spool: %+v", r)
	}
	if first, last := mustAppend(t, s, events("a", 1, 10)...); first != 1 || last != 10 {
		t.Fatalf("numbers %d to %d", first, last)
	}
	if es := all(t, s); len(es) != 10 || es[9].Device != "ws-1" || es[9].Site != "north" || es[9].Unit != "ward 3" {
		t.Fatalf("%+v", es)
	}
	rs, err := s.Next(0, 4, 1<<20)
	if err != nil || len(rs) != 4 {
		t.Fatal(rs, err)
	}
	if err := s.Ack(4, rs[3].Hash, "signed"); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	s, r = open(t, dir, o)
	if r.Code != "" || r.Head != 10 || r.Acked != 4 || s.State().Proof != "signed" || s.State().AckedHash != rs[3].Hash {
		t.Fatalf("opened again: %+v, %+v", r, s.State())
	}
	if first, _ := mustAppend(t, s, event("a", 11, audit.LockProved)); first != 11 {
		t.Fatalf("number %d after a restart, want 11", first)
	}
	if es := all(t, s); len(es) != 7 || es[0].Seq != 5 {
		t.Fatal(words(es))
	}
	checkModes(t, dir)
}

// A commit is seen before it is on disk, and may be seen and have failed. What nobody was told of is not handed on.
func TestNextHandsOnWhatWasTold(t *testing.T) {
	s, _ := open(t, t.TempDir(), Options{Sinks: []string{"siem"}})
	mustAppend(t, s, events("a", 1, 3)...)
	told := s.State()
	mustAppend(t, s, events("a", 4, 9)...)
	s.state.Store(&told)
	if got := sequence(t, s, 0); len(got) != 3 {
		t.Errorf("%v, three were told", got)
	}
	if rs, _, err := s.NextFor("siem", 100, 1<<20); len(rs) != 3 || err != nil {
		t.Errorf("to a sink: %v, %v", rs, err)
	}
	must(t, s.Fork("diverged"))
	s.state.Store(&told)
	if got := sequence(t, s, 0); got != nil {
		t.Errorf("%v of an epoch that nobody was told of", got)
	}
}

// A commit that failed, was seen all the same, and began an epoch is told and noted before the next one may end that epoch.
func TestCommitInDoubtIsNoted(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 3)...)
	old, noted := s.State(), s.noted
	must(t, s.submit(func(x *txn) error { return x.rollback("diverged", x.st.Acked, 0) }))
	begun := s.State().Epoch
	s.state.Store(&old)
	s.noted, s.doubt = noted, true
	must(t, s.submit(func(*txn) error { return nil }))
	if now, err := readAck(dir); err != nil || now.Epoch != begun || s.State().Epoch != begun {
		t.Errorf("noted %s, told %s, begun %s, %v", now.Epoch, s.State().Epoch, begun, err)
	}
}

func TestNextKeepsItsBounds(t *testing.T) {
	s, _ := open(t, t.TempDir(), Options{})
	mustAppend(t, s, events("a", 1, 20)...)
	one, _ := s.Next(0, 1, 1)
	if len(one) != 1 {
		t.Fatalf("%d events, want the first however large", len(one))
	}
	size := len(one[0].Body)
	if rs, _ := s.Next(0, 20, size*5+size/2); len(rs) != 5 {
		t.Errorf("%d events in the room of 5", len(rs))
	}
	if rs, _ := s.Next(18, 20, 1<<20); len(rs) != 2 || rs[0].Seq != 19 {
		t.Errorf("after 18: %v", rs)
	}
	if rs, err := s.Next(20, 20, 1<<20); len(rs) != 0 || err != nil {
		t.Errorf("after the last: %v, %v", rs, err)
	}
	if rs, err := s.Next(1<<40, 20, 1<<20); len(rs) != 0 || err != nil {
		t.Errorf("far after the last: %v, %v", rs, err)
	}
}

func TestAckIsRefused(t *testing.T) {
	s, _ := open(t, t.TempDir(), Options{})
	mustAppend(t, s, events("a", 1, 5)...)
	rs, _ := s.Next(0, 5, 1<<20)
	wantErr(t, s.Ack(6, rs[4].Hash, ""), ErrAck)
	wantErr(t, s.Ack(1<<63, rs[4].Hash, ""), ErrAck)
	wantErr(t, s.Ack(5, rs[3].Hash, ""), ErrAck)
	wantErr(t, s.Ack(5, "", ""), ErrAck)
	if err := s.Ack(3, rs[2].Hash, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(3, rs[2].Hash, ""); err != nil {
		t.Errorf("the same again: %v", err)
	}
	wantErr(t, s.Ack(2, rs[1].Hash, ""), ErrAck)
	wantErr(t, s.Ack(3, rs[1].Hash, ""), ErrAck)
	if es := all(t, s); len(es) != 2 {
		t.Error(words(es))
	}
}

func TestOneCourierOnly(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{})
	_, _, err := Open(dir, Options{})
	wantErr(t, err, ErrBusy)
	if !InUse(dir) {
		t.Error("open and yet not in use")
	}
	closeSpool(t, s)
	if InUse(dir) {
		t.Error("closed and yet in use")
	}
	_, _, err = s.Append(events("a", 1, 1))
	wantErr(t, err, ErrClosed)
	_, err = s.Next(0, 1, 1)
	wantErr(t, err, ErrClosed)
}

func TestManyWriters(t *testing.T) {
	s, _ := open(t, t.TempDir(), Options{})
	const writers, each = 64, 50
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range uint64(each) {
				first, last, err := s.Append([]audit.Event{event(fmt.Sprintf("%08x", w), n+1, audit.UnlockSeen)})
				mu.Lock()
				if err != nil || first != last || seen[first] {
					t.Errorf("writer %d: number %d to %d, given before: %v, %v", w, first, last, seen[first], err)
				}
				seen[first] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if es := all(t, s); len(es) != writers*each {
		t.Errorf("%d events of %d", len(es), writers*each)
	}
}

func TestResentEventsAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 3)...)
	mustAppend(t, s, events("a", 2, 4)...)
	if first, last := mustAppend(t, s, events("a", 1, 4)...); first != 0 || last != 0 {
		t.Errorf("stored again under %d to %d", first, last)
	}
	ackAll(t, s)
	closeSpool(t, s)
	s, _ = open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 5)...)
	wantWords(t, s, "lock.proved a/5")
}

func TestHolesAreRecorded(t *testing.T) {
	recovered := event("c", 1, audit.AgentRecovered)
	recovered.Facts = &audit.Facts{Ref: "b", To: 9}
	s, _ := open(t, t.TempDir(), Options{})
	mustAppend(t, s, event("a", 1, audit.AgentStart), event("a", 4, audit.LockProved))
	mustAppend(t, s, event("b", 3, audit.AgentStart))
	mustAppend(t, s, recovered)
	mustAppend(t, s, recovered)
	wantWords(t, s, "agent.start a/1", "spool.gap ref=a 2-3 count=2 lost", "lock.proved a/4",
		"spool.gap ref=b 1-2 count=2 lost", "agent.start b/3",
		"spool.gap ref=b 4-9 count=6 lost", "agent.recovered c/1 ref=b 0-9 count=0 ")
}

func TestMalformedEventLeavesAGap(t *testing.T) {
	s, _ := open(t, t.TempDir(), Options{})
	bad := events("a", 1, 5)
	bad[0].Type = "made.up"
	bad[1].Session = &audit.Session{User: "a\x1b[2J"}
	bad[2].V = 7
	bad[3].Wall = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
	mustAppend(t, s, bad...)
	wantWords(t, s, "spool.gap ref=a 1-1 count=1 malformed", "spool.gap ref=a 2-2 count=1 malformed",
		"spool.gap ref=a 3-3 count=1 malformed", "spool.gap ref=a 4-4 count=1 malformed", "lock.proved a/5")
}

func TestRunsAreForgottenInOrder(t *testing.T) {
	s, _ := open(t, memory(t), Options{})
	for i := range maxOrigins + 10 {
		mustAppend(t, s, events(fmt.Sprintf("%08x", i), 1, 2)...)
	}
	last := fmt.Sprintf("%08x", maxOrigins+9)
	if first, _ := mustAppend(t, s, events(last, 1, 2)...); first != 0 {
		t.Error("the last run was forgotten")
	}
}

func TestForkCarriesEverythingOver(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 5)...)
	rs, _ := s.Next(0, 2, 1<<20)
	if err := s.Ack(2, rs[1].Hash, "p"); err != nil {
		t.Fatal(err)
	}
	if err := s.Fork("fork"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, events("a", 4, 6)...)
	want := []string{"spool.rollback ref=" + r.Epoch + " 3-5 count=3 fork", "lock.proved a/3", "lock.proved a/4",
		"lock.proved a/5", "lock.proved a/6"}
	wantWords(t, s, want...)
	if st := s.State(); st.Epoch == r.Epoch || st.Acked != 0 || st.Proof != "" {
		t.Errorf("%+v", st)
	}
	closeSpool(t, s)
	s, r = open(t, dir, Options{})
	if r.Code != "" {
		t.Errorf("%+v", r)
	}
	wantWords(t, s, want...)
}

func TestEnrolmentBeginsAnEpoch(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 2)...)
	closeSpool(t, s)
	s, again := open(t, dir, Options{Device: "ws-1", Bound: "ws-1 key"})
	if again.Epoch == r.Epoch || again.Code != "" || again.Head != 2 {
		t.Errorf("%+v after %+v", again, r)
	}
	wantWords(t, s, "lock.proved a/1", "lock.proved a/2")
	if es := all(t, s); es[0].Device != "ws-1" {
		t.Errorf("device %q", es[0].Device)
	}
	ackAll(t, s)
	closeSpool(t, s)
	s, moved := open(t, dir, Options{Device: "ws-2", Bound: "ws-2 key"})
	if moved.Code != "enrolled" || moved.Before != again.Epoch {
		t.Errorf("%+v", moved)
	}
	mustAppend(t, s, events("a", 2, 3)...)
	wantWords(t, s, "spool.rollback ref="+again.Epoch+" 3-2 count=0 enrolled", "lock.proved a/3")
	closeSpool(t, s)
	s, kept := open(t, dir, Options{Keep: true})
	mustAppend(t, s, events("a", 4, 4)...)
	if es := all(t, s); kept.Epoch != moved.Epoch || es[len(es)-1].Device != "ws-2" {
		t.Errorf("%+v, %+v", kept, es)
	}
}

func TestOlderCopyIsNoticed(t *testing.T) {
	for name, ack := range map[string]bool{"older ack": true, "older head": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, fileName)
			s, r := open(t, dir, Options{})
			mustAppend(t, s, events("a", 1, 4)...)
			closeSpool(t, s)
			copyFile(t, path, path+".copy")
			s, _ = open(t, dir, Options{})
			if ack {
				rs, _ := s.Next(0, 2, 1<<20)
				must(t, s.Ack(2, rs[1].Hash, ""))
			} else {
				mustAppend(t, s, events("a", 5, 6)...)
			}
			closeSpool(t, s)
			must(t, os.Rename(path+".copy", path))
			s, again := open(t, dir, Options{})
			if again.Code != "older" || again.Before != r.Epoch || again.Epoch == r.Epoch {
				t.Fatalf("%+v", again)
			}
			want := []string{"spool.rollback ref=" + r.Epoch + " 1-6 count=4 older", "lock.proved a/1", "lock.proved a/2",
				"lock.proved a/3", "lock.proved a/4"}
			if ack {
				want = []string{"spool.rollback ref=" + r.Epoch + " 3-4 count=2 older", "lock.proved a/3", "lock.proved a/4"}
			}
			wantWords(t, s, want...)
		})
	}
}

func TestMissingFileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	s, r := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 3)...)
	closeSpool(t, s)
	must(t, os.Remove(filepath.Join(dir, fileName)))
	s, again := open(t, dir, Options{})
	if again.Code != "missing" || again.Before != r.Epoch {
		t.Fatalf("%+v", again)
	}
	wantWords(t, s, "spool.rollback ref="+r.Epoch+" 1-3 count=0 missing")
	closeSpool(t, s)
	if _, third := open(t, dir, Options{}); third.Code != "" || third.Epoch != again.Epoch {
		t.Errorf("told twice: %+v", third)
	}
}

func TestNoteIsNotNeeded(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"gone":    os.Remove,
		"garbage": func(path string) error { return os.WriteFile(path, []byte("{{{"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, r := open(t, dir, Options{})
			mustAppend(t, s, events("a", 1, 3)...)
			closeSpool(t, s)
			must(t, change(filepath.Join(dir, ackName)))
			s, again := open(t, dir, Options{})
			if again.Code != "" || again.Epoch != r.Epoch || len(all(t, s)) != 3 {
				t.Errorf("%+v", again)
			}
		})
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{CompactOver: 256 << 10})
	for i := range uint64(20) {
		mustAppend(t, s, events("a", i*200+1, i*200+200)...)
	}
	large := s.State().Bytes
	ackAll(t, s)
	mustAppend(t, s, event("a", 4001, audit.LockProved))
	small := s.State().Bytes
	if large < 1<<20 || small > 128<<10 {
		t.Errorf("%d bytes before and %d after", large, small)
	}
	mustAppend(t, s, events("a", 4000, 4002)...)
	if es := all(t, s); len(es) != 2 || es[0].Seq != 4001 {
		t.Error(words(es))
	}
	closeSpool(t, s)
	if _, r := open(t, dir, Options{}); r.Code != "" || r.Head != 4002 {
		t.Errorf("%+v", r)
	}
}

func TestSnapshotWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 2000)...)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(2001); ; n++ {
			select {
			case <-stop:
				return
			default:
				s.Append(events("a", n, n))
			}
		}
	}()
	defer func() { close(stop); <-done }()
	to := filepath.Join(t.TempDir(), "copy")
	sound := 0
	for range 10 {
		if Snapshot(dir, to) != nil {
			continue // written to without a pause
		}
		sound++
		if _, err := Check(to); err != nil {
			t.Fatal(err)
		}
		n := 0
		if _, err := Read(to, func(audit.Record) error { n++; return nil }); err != nil || n < 2000 {
			t.Fatal(n, err)
		}
	}
	t.Logf("%d of 10 copies", sound)
}

func write(t testing.TB, path string, body []byte, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, body, mode))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRunsAreKnownOverEpochs: the run that writes now is never the one that is forgotten, however low the numbers of a new epoch
// are. Forgotten, each of its events would be told as a gap, and one sent again stored twice.
func TestRunsAreKnownOverEpochs(t *testing.T) {
	s, _ := open(t, memory(t), Options{})
	for i := range uint64(maxOrigins + 10) {
		mustAppend(t, s, events(fmt.Sprintf("%04x", i), 1, 3)...)
	}
	ackAll(t, s)
	must(t, s.Fork("fork"))
	ackAll(t, s)
	mustAppend(t, s, events("ffff", 1, 2)...)
	mustAppend(t, s, events("ffff", 1, 3)...)
	wantWords(t, s, "lock.proved ffff/1", "lock.proved ffff/2", "lock.proved ffff/3")
}
