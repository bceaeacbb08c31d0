package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/sink"
	"stepaway/spool"
)

// statusNow is what `status --json` prints.
type statusNow struct {
	Running   bool      `json:"running"`
	Device    string    `json:"device,omitempty"`
	URL       string    `json:"url,omitempty"`
	CertUntil time.Time `json:"certificate_until,omitzero"`
	CertNext  time.Time `json:"certificate_renewal,omitzero"` // by itself; absent where the site renews it
	ClockOff  string    `json:"clock_off,omitempty"`          // this machine's clock ahead of the collector's, or behind
	Epoch     string    `json:"epoch"`
	Head      uint64    `json:"head"`
	Acked     uint64    `json:"acked"`
	Waiting   uint64    `json:"waiting"`
	Bytes     int64     `json:"bytes"`
	Dropped   int64     `json:"dropped"`
	Collector string    `json:"collector"` // up, down, none, unknown
	Code      string    `json:"code,omitempty"`
	Meaning   string    `json:"meaning,omitempty"` // of the code
	Sinks     []sinkNow `json:"sinks,omitempty"`
}

// sinkNow is how far a sink is: what the spool knows, and what the running courier last said.
type sinkNow struct {
	Name    string       `json:"name"`
	Waiting uint64       `json:"waiting"` // events that it has not got
	Missed  int64        `json:"missed"`  // that it never will
	Here    *sink.Status `json:"here,omitempty"`
}

func status(_ context.Context, args []string) error {
	fl := flags("status", "Shows the spool and how the collector is reached.")
	dir := stateFlag(fl)
	asJSON := fl.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	now, err := state(*dir).now()
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(now)
	}
	now.print()
	return nil
}

func (s state) now() (statusNow, error) {
	n := statusNow{Running: spool.InUse(s.spool()), Collector: "unknown"}
	if err := n.identity(s); err != nil {
		return n, err
	}
	_, err := s.snapshot(func(path string) error {
		st, err := spool.Read(path, func(audit.Record) error { return nil })
		n.Epoch, n.Head, n.Acked, n.Waiting = st.Epoch, st.Head, st.Acked, st.Head-min(max(st.Acked, st.Freed), st.Head)
		n.Bytes, n.Dropped = st.Bytes, st.Dropped
		for _, name := range slices.Sorted(maps.Keys(st.Sinks)) {
			n.Sinks = append(n.Sinks, sinkNow{Name: name, Waiting: st.Head - min(st.Sinks[name], st.Head), Missed: st.Missed[name]})
		}
		return err
	})
	if err != nil {
		return n, err
	}
	if said, err := sink.Heard(s.sinks()); err == nil && n.Running {
		for i := range n.Sinks {
			n.Sinks[i].Here = said.Of(n.Sinks[i].Name)
		}
	}
	if v, err := s.heard(); err == nil && n.Running {
		n.Collector, n.Code, n.Meaning = v.Collector, v.Code, courier.Codes[v.Code]
		if off := v.ClockOff; off != nil && off.Abs() >= clockTolerance {
			n.ClockOff = off.Round(time.Second).String()
		}
	}
	return n, nil
}

func (n *statusNow) identity(s state) error {
	id, err := courier.LoadIdentity(s.identity())
	if errors.Is(err, courier.ErrNotEnrolled) {
		n.Collector = "none"
		return nil
	}
	if err != nil {
		return err
	}
	leaf, err := id.Certificate()
	if err != nil {
		return err
	}
	n.Device, n.URL, n.CertUntil, n.CertNext = string(id.Device), id.URL, leaf.NotAfter, id.Renewal()
	return nil
}

// clockTolerance is how far the clocks may be apart without a word.
const clockTolerance = time.Minute

// renewal says when and by whom the certificate is renewed.
func (n statusNow) renewal() string {
	if n.CertNext.IsZero() {
		return "renewed by the site"
	}
	return "renewed from " + n.CertNext.Format(time.DateOnly) + " on"
}

func (n statusNow) print() {
	word := map[bool]string{true: "running", false: "not running"}[n.Running]
	fmt.Printf("courier    %s\n", word)
	if n.Device == "" {
		fmt.Println("device     not enrolled")
	} else {
		fmt.Printf("device     %s, certificate until %s, %s\n", n.Device, n.CertUntil.Format(time.DateOnly), n.renewal())
	}
	fmt.Printf("collector  %s %s %s\n", n.Collector, n.URL, n.Code)
	if n.Meaning != "" {
		fmt.Printf("           %s\n", n.Meaning)
	}
	if n.ClockOff != "" {
		fmt.Printf("clock      %s from the collector's; records bear the wrong time until it is set\n", n.ClockOff)
	}
	fmt.Printf("spool      epoch %s, %d written, %d acknowledged, %d waiting, %d bytes\n", n.Epoch, n.Head, n.Acked, n.Waiting, n.Bytes)
	if n.Dropped > 0 {
		fmt.Printf("dropped    %d events for want of room\n", n.Dropped)
	}
	for _, k := range n.Sinks {
		fmt.Printf("sink       %s, %d waiting, %d missed%s\n", k.Name, k.Waiting, k.Missed, k.how())
	}
}

func (k sinkNow) how() string {
	if k.Here == nil {
		return ""
	}
	return fmt.Sprintf("; %s %s %s, %d sent, %d refused", k.Here.URL, k.Here.State, k.Here.Code, k.Here.Sent, k.Here.Refused)
}
