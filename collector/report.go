package collector

import (
	"context"
	"encoding/json"
	"time"

	"stepaway/audit"
)

// Summary is what a report says of one device.
type Summary struct {
	Device   audit.Label        `json:"device"`
	Events   int                `json:"events"`
	First    time.Time          `json:"first,omitzero"` // received
	Last     time.Time          `json:"last,omitzero"`
	Types    map[audit.Type]int `json:"types"`
	Unproved int                `json:"unproved_locks"` // locks that failed, or rest on a claim alone
	Gaps     int64              `json:"gaps"`           // events that the device says were lost
	Forks    int                `json:"forks"`          // events kept aside
	Shared   int                `json:"shared"`         // times that the device was seen in two places
}

// Report sums up what is held, by device, of events received at or after since.
func Report(ctx context.Context, s *Store, since time.Time) (all []Summary, err error) {
	err = s.View(ctx, func(v *View) error {
		devices, err := v.Devices()
		if err != nil {
			return err
		}
		all = make([]Summary, len(devices))
		at := map[audit.Label]*Summary{}
		for i, d := range devices {
			all[i] = Summary{Device: d.Name, Types: map[audit.Type]int{}}
			at[d.Name] = &all[i]
		}
		err = v.Walk(Filter{Since: since}, func(k Kept) error {
			if sum := at[k.Device]; sum != nil {
				sum.add(k)
			}
			if sum := at[sharedBy(k)]; sum != nil {
				sum.Shared++
			}
			return nil
		})
		if err != nil {
			return err
		}
		return v.Walk(Filter{Since: since, Aside: true}, func(k Kept) error {
			if sum := at[k.Device]; sum != nil {
				sum.Forks++
			}
			return nil
		})
	})
	return all, err
}

// sharedBy answers the device that an event of the collector's own says was in two places.
func sharedBy(k Kept) audit.Label {
	var e audit.Event
	if k.Device != Own || json.Unmarshal(k.Body, &e) != nil || e.Type != audit.IdentityShared || e.Facts == nil {
		return ""
	}
	return e.Facts.Key
}

func (s *Summary) add(k Kept) {
	var e audit.Event
	if json.Unmarshal(k.Body, &e) != nil {
		return
	}
	s.Events++
	s.Types[e.Type]++
	if s.First.IsZero() || k.Received.Before(s.First) {
		s.First = k.Received
	}
	if k.Received.After(s.Last) {
		s.Last = k.Received
	}
	var f audit.Facts
	if e.Facts != nil {
		f = *e.Facts
	}
	switch e.Type {
	case audit.LockFailed:
		s.Unproved++
	case audit.LockProved:
		if f.Proof == "" || f.Proof == "none" || f.Proof == "claim" {
			s.Unproved++
		}
	case audit.SpoolGap, audit.SpoolFull:
		s.Gaps += f.Count
	}
}
