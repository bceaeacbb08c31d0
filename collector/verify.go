package collector

import (
	"context"
	"fmt"

	"stepaway/audit"
)

// Finding is one thing that is wrong with what is held.
type Finding struct {
	Device audit.Label `json:"device"`
	Epoch  string      `json:"epoch"`
	From   uint64      `json:"from"`
	To     uint64      `json:"to"`
	Code   string      `json:"code"` // altered, missing, chain, fork, misplaced
	Detail string      `json:"detail"`
}

// Verified sums up a verification.
type Verified struct {
	Events   int           `json:"events"`
	Epochs   []VerifiedRun `json:"epochs"`
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

// Verify goes through everything that is held: each hash is computed again from the stored bytes, each event
// must continue the one before it, and no number may be missing or be held with two bodies.
func Verify(ctx context.Context, s Store) (Verified, error) {
	devices, err := s.Devices(ctx)
	if err != nil {
		return Verified{}, err
	}
	v := &verifying{heads: map[string]Epoch{}}
	for _, d := range devices {
		for _, e := range d.Epochs {
			v.heads[string(d.Name)+"/"+e.Name] = e
		}
	}
	if err := s.Walk(ctx, Filter{}, func(k Kept) error { v.event(k); return nil }); err != nil {
		return Verified{}, err
	}
	v.endEpoch()
	v.leftOver(devices)
	err = s.Walk(ctx, Filter{Aside: true}, func(k Kept) error {
		v.find(k, "fork", "another event under this number, or after a fork, came from the device")
		return nil
	})
	return v.Verified, err
}

// verifying is the state of one Verify.
type verifying struct {
	Verified
	heads map[string]Epoch // not gone through yet
	run   *VerifiedRun     // the epoch at hand
	prev  string           // hash of the event before, empty after a hole
}

func (v *verifying) find(k Kept, code, detail string) {
	v.Findings = append(v.Findings, Finding{Device: k.Device, Epoch: k.Epoch, From: k.Seq, To: k.Seq, Code: code, Detail: detail})
}

func (v *verifying) missing(device audit.Label, epoch string, from, to uint64) {
	v.Findings = append(v.Findings, Finding{Device: device, Epoch: epoch, From: from, To: to, Code: "missing",
		Detail: fmt.Sprintf("%d events are not here", to-from+1)})
}

func (v *verifying) event(k Kept) {
	if v.run == nil || v.run.Device != k.Device || v.run.Epoch != k.Epoch {
		v.endEpoch()
		v.Epochs = append(v.Epochs, VerifiedRun{Device: k.Device, Epoch: k.Epoch, From: k.Seq})
		v.run, v.prev = &v.Epochs[len(v.Epochs)-1], audit.Zero
	}
	if k.Seq != v.run.To+1 {
		v.missing(k.Device, k.Epoch, v.run.To+1, k.Seq-1)
		v.prev = ""
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
	name := string(v.run.Device) + "/" + v.run.Epoch
	head, known := v.heads[name]
	delete(v.heads, name)
	at := Kept{Device: v.run.Device, Epoch: v.run.Epoch, Record: audit.Record{Seq: v.run.To}}
	switch {
	case !known:
		v.find(at, "chain", "the epoch was never acknowledged")
	case head.Last > v.run.To:
		v.missing(v.run.Device, v.run.Epoch, v.run.To+1, head.Last)
	case head.Last < v.run.To || head.Hash != v.prev:
		v.find(at, "chain", fmt.Sprintf("the last event is not the one acknowledged, number %d", head.Last))
	}
}

// leftOver finds epochs of which no event is left.
func (v *verifying) leftOver(devices []Device) {
	for _, d := range devices {
		for _, e := range d.Epochs {
			if _, left := v.heads[string(d.Name)+"/"+e.Name]; left && e.Last > 0 {
				v.missing(d.Name, e.Name, 1, e.Last)
			}
		}
	}
}
