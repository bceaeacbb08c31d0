package collector

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"stepaway/audit"
)

// Finding is one thing that is wrong with what is held.
type Finding struct {
	Device audit.Label `json:"device"`
	Epoch  string      `json:"epoch"`
	From   uint64      `json:"from"`
	To     uint64      `json:"to"`
	Code   string      `json:"code"` // altered, missing, lost, chain, fork, misplaced, record
	Detail string      `json:"detail"`
}

// Verified sums up a verification.
type Verified struct {
	Events   int           `json:"events"`
	Epochs   []VerifiedRun `json:"epochs"`
	Removed  []Removal     `json:"removed,omitempty"` // by rule
	Findings []Finding     `json:"findings"`
}

// VerifiedRun is one epoch that was gone through.
type VerifiedRun struct {
	Device audit.Label `json:"device"`
	Epoch  string      `json:"epoch"`
	From   uint64      `json:"from"`
	To     uint64      `json:"to"`
	Events int         `json:"events"`
}

// Verify goes through everything that is held at one moment: each hash is computed again from the stored bytes, each
// event must continue the one before it, and no number may be missing or be held with two bodies. What a rule removed is
// not missing, as long as its record, chained and signed with this collector's key, is there.
func Verify(ctx context.Context, s *Store, key ed25519.PublicKey) (Verified, error) {
	v := &verifying{key: key, heads: map[string]Epoch{}, removed: map[string][]Removal{}, holes: map[string][]Hole{}}
	err := s.View(ctx, v.all)
	return v.Verified, err
}

func (v *verifying) all(w *View) error {
	devices, err := w.Devices()
	if err != nil {
		return err
	}
	for _, d := range devices {
		for _, e := range d.Epochs {
			v.heads[nameOf(d.Name, e.Name)] = e
		}
	}
	if err := w.Removals(func(s Sealed) error { v.record(s); return nil }); err != nil {
		return err
	}
	holes, err := w.Holes()
	if err != nil {
		return err
	}
	for _, h := range holes {
		name := nameOf(h.Device, h.Epoch)
		v.holes[name] = append(v.holes[name], h)
	}
	if err := w.Walk(Filter{}, func(k Kept) error { v.event(k); return nil }); err != nil {
		return err
	}
	v.endEpoch()
	v.leftOver(devices)
	return w.Walk(Filter{Aside: true}, func(k Kept) error {
		v.find(k, "fork", "another event under this number, or after a fork, came from the device")
		return nil
	})
}

func nameOf(device audit.Label, epoch string) string { return string(device) + "/" + epoch }

// verifying is the state of one Verify.
type verifying struct {
	Verified
	key     ed25519.PublicKey
	heads   map[string]Epoch     // not gone through yet
	removed map[string][]Removal // by epoch, in order
	holes   map[string][]Hole    // by epoch, in order
	last    Sealed               // record at hand
	run     *VerifiedRun         // the epoch at hand
	prev    string               // hash of the event before, empty after a hole
}

// record checks the next record of what was removed. What it says counts only if it is as it was signed.
func (v *verifying) record(s Sealed) {
	prev, n := audit.Zero, v.last.N+1
	if v.last.N > 0 {
		prev = audit.Hash(v.last.Body)
	}
	v.last = s
	r, err := s.open(v.key)
	at := Kept{Device: s.Run.Device, Epoch: s.Run.Epoch}
	switch {
	case err != nil:
		v.find(at, "record", fmt.Sprintf("the record %d of removed events: %v", s.N, err))
		return
	case s.N != n:
		v.find(at, "record", fmt.Sprintf("records %d to %d of removed events are missing", n, s.N-1))
	case r.Prev != prev:
		v.find(at, "record", fmt.Sprintf("the record %d of removed events does not continue the one before it", s.N))
	}
	v.Removed = append(v.Removed, r)
	if !r.Aside {
		name := nameOf(r.Device, r.Epoch)
		v.removed[name] = append(v.removed[name], r)
	}
}

func (v *verifying) find(k Kept, code, detail string) {
	v.Findings = append(v.Findings, Finding{Device: k.Device, Epoch: k.Epoch, From: k.Seq, To: k.Seq, Code: code, Detail: detail})
}

// missing accounts for numbers of which there is no event, and answers the hash of the last one if a record has it.
func (v *verifying) missing(device audit.Label, epoch string, from, to uint64) (hash string) {
	name := nameOf(device, epoch)
	for from <= to {
		end, code, detail := to, "missing", "%d events are not here"
		for _, r := range v.removed[name] {
			if r.First <= from && from <= r.Last {
				end, code, hash = r.Last, "", r.Hash
				break
			}
			if r.First > from && r.First <= end {
				end = r.First - 1
			}
		}
		for _, h := range v.holes[name] {
			if code == "missing" && h.First <= from && from <= h.Last {
				end, code = min(end, h.Last), "lost"
				detail = "%d events were acknowledged and are not here, noticed " + h.Noticed.Format("2006-01-02 15:04") + ": was an older backup restored?"
			}
		}
		end = min(end, to)
		if code != "" {
			hash = ""
			v.Findings = append(v.Findings, Finding{Device: device, Epoch: epoch, From: from, To: end, Code: code,
				Detail: fmt.Sprintf(detail, end-from+1)})
		}
		from = end + 1
	}
	return hash
}

func (v *verifying) event(k Kept) {
	if v.run == nil || v.run.Device != k.Device || v.run.Epoch != k.Epoch {
		v.endEpoch()
		v.Epochs = append(v.Epochs, VerifiedRun{Device: k.Device, Epoch: k.Epoch, From: k.Seq})
		v.run, v.prev = &v.Epochs[len(v.Epochs)-1], audit.Zero
	}
	if k.Seq != v.run.To+1 {
		v.prev = v.missing(k.Device, k.Epoch, v.run.To+1, k.Seq-1)
	}
	v.Events++
	v.run.Events++
	v.run.To = k.Seq
	v.body(k)
}

func (v *verifying) body(k Kept) {
	prev := v.prev
	v.prev = k.Hash
	if audit.Hash(k.Body) != k.Hash {
		v.find(k, "altered", "the stored bytes do not have the hash they came with")
		return
	}
	e, err := audit.Decode(k.Body)
	switch {
	case err != nil:
		v.find(k, "altered", err.Error())
	case e.Device != k.Device || e.Epoch != k.Epoch || e.Seq != k.Seq:
		v.find(k, "misplaced", "the event names another device, epoch or number")
	case prev != "" && e.Prev != prev:
		v.find(k, "chain", "the event does not continue the one before it")
	}
}

// endEpoch compares the epoch that ends with what was acknowledged of it.
func (v *verifying) endEpoch() {
	if v.run == nil {
		return
	}
	name := nameOf(v.run.Device, v.run.Epoch)
	head, known := v.heads[name]
	delete(v.heads, name)
	at := Kept{Device: v.run.Device, Epoch: v.run.Epoch, Record: audit.Record{Seq: v.run.To}}
	switch {
	case !known:
		v.find(at, "chain", "the epoch was never acknowledged")
	case head.Last > v.run.To:
		v.tail(v.run.Device, v.run.To+1, head)
	case head.Last < v.run.To || head.Hash != v.prev:
		v.find(at, "chain", fmt.Sprintf("the last event is not the one acknowledged, number %d", head.Last))
	}
}

// tail accounts for the events at the end of an epoch, from a number on, of which none is there.
func (v *verifying) tail(device audit.Label, from uint64, head Epoch) {
	if hash := v.missing(device, head.Name, from, head.Last); hash != "" && hash != head.Hash {
		v.find(Kept{Device: device, Epoch: head.Name, Record: audit.Record{Seq: head.Last}}, "chain", "the last event that was removed is not the one acknowledged")
	}
}

// leftOver finds epochs of which no event is left.
func (v *verifying) leftOver(devices []Device) {
	for _, d := range devices {
		for _, e := range d.Epochs {
			if _, left := v.heads[nameOf(d.Name, e.Name)]; left && e.Last > 0 {
				v.tail(d.Name, 1, e)
			}
		}
	}
}
