package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/spool"
	"stepaway/uplink"
)

// verified is what `audit verify --json` prints.
type verified struct {
	OK     bool   `json:"ok"`
	Epoch  string `json:"epoch"`
	From   uint64 `json:"from"` // 0 when no event waits
	To     uint64 `json:"to"`
	Events int    `json:"events"`
	Acked  uint64 `json:"acked"` // last number that the collector signed for
	Damage string `json:"damage,omitempty"`
}

// errAck is what is wrong with an acknowledgement that is kept here.
var errAck = errors.New("acknowledgement not as the collector gave it")

func auditVerify(args []string) error {
	fl := flags("audit verify", "Checks every event that waits on this machine, the chain that binds them, and that the collector signed\nfor those that are gone. Works on a copy, so the courier may run. `stepaway-collector verify` checks what\nthe collector has.")
	dir := stateFlag(fl)
	asJSON := fl.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	v, err := verify(state(*dir))
	if err != nil && v.Damage == "" {
		return err
	}
	if *asJSON {
		if e := json.NewEncoder(os.Stdout).Encode(v); e != nil {
			return e
		}
	} else if err == nil {
		fmt.Printf("epoch %s: %d events, %d to %d, each as it was written; the collector signed for those up to %d\n",
			v.Epoch, v.Events, v.From, v.To, v.Acked)
	}
	return err
}

// verify takes the note before the copy, so that a running courier cannot leave it ahead.
func verify(s state) (v verified, err error) {
	note, noteErr := spool.Noted(s.spool())
	found, err := s.snapshot(func(path string) error {
		st, err := v.chain(path)
		if err == nil {
			err = s.acks(st, note, noteErr)
		}
		return err
	})
	v.Epoch, v.Acked = found.Epoch, found.Acked
	for _, kind := range []error{spool.ErrDamaged, audit.ErrChain, audit.ErrEvent, errAck} {
		if errors.Is(err, kind) {
			v.Damage = err.Error()
		}
	}
	v.OK = err == nil
	return v, err
}

// chain decodes every event in the copy and checks that each continues the one before it.
func (v *verified) chain(path string) (spool.State, error) {
	prev, seq := "", uint64(0)
	return spool.Read(path, func(r audit.Record) error {
		e, err := audit.Decode(r.Body)
		if err != nil {
			return fmt.Errorf("event %d: %w", r.Seq, err)
		}
		if prev == "" {
			prev, seq, v.From = e.Prev, r.Seq, r.Seq
		}
		if err := audit.Link(prev, seq, e); err != nil {
			return err
		}
		prev, seq, v.To = r.Hash, seq+1, r.Seq
		v.Events++
		return nil
	})
}

// acks checks what the spool and the note beside it say of the collector against the collector's key, and one against the other.
func (s state) acks(st, note spool.State, noteErr error) error {
	id, err := courier.LoadIdentity(s.identity())
	if errors.Is(err, courier.ErrNotEnrolled) {
		id, err = &courier.Identity{}, nil
	}
	if err != nil {
		return fmt.Errorf("the collector's key: %w", err)
	}
	switch {
	case errors.Is(noteErr, fs.ErrNotExist):
		return fmt.Errorf("%w: the note of it beside the spool is missing", errAck)
	case noteErr != nil:
		return fmt.Errorf("%w: the note beside the spool: %v", errAck, noteErr)
	case note.Epoch == st.Epoch && (note.Acked > st.Acked || note.Head > st.Head):
		return fmt.Errorf("%w: the spool is older than the note beside it: %d acknowledged of %d written, noted were %d of %d",
			errAck, st.Acked, st.Head, note.Acked, note.Head)
	case note.Epoch == st.Epoch && note.Acked == st.Acked && note.AckedHash != st.AckedHash:
		return fmt.Errorf("%w: event %d has another hash in the note", errAck, st.Acked)
	}
	if err := signed(id, "the spool", st); err != nil {
		return err
	}
	return signed(id, "the note beside it", note)
}

// signed reports whether the collector that this device is enrolled at signed for what was acknowledged.
func signed(id *courier.Identity, where string, st spool.State) error {
	ack := uplink.Ack{Device: id.Device, Epoch: st.Epoch, Last: st.Acked, Hash: st.AckedHash, Sig: st.Proof}
	if st.Acked == 0 || ack.Verify(id.AckKey) {
		return nil
	}
	return fmt.Errorf("%w: %s says that events up to %d are acknowledged, and the collector enrolled at did not sign that",
		errAck, where, st.Acked)
}
