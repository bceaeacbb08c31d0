package spool

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"stepaway/durable"
)

// ackFile is what is known outside the spool's file, so that an older copy of it is noticed.
type ackFile struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`
	Hash  string `json:"hash"`
	Proof string `json:"proof,omitempty"`
	Head  uint64 `json:"head"` // last number written when this was noted
}

// readAck answers the zero value when there is no note or it cannot be read.
func readAck(dir string) (ackFile, error) {
	f, err := os.Open(filepath.Join(dir, ackName))
	if err != nil {
		return ackFile{}, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ackFile{}, err
	}
	var a ackFile
	if err := json.Unmarshal(body, &a); err != nil {
		return ackFile{}, fmt.Errorf("read %s: %w", ackName, err)
	}
	return a, nil
}

// Noted answers what is noted beside the spool's file in dir: of a State the epoch, the head when it was noted, what was
// acknowledged and the collector's signature. The error is fs.ErrNotExist where there is no note.
func Noted(dir string) (State, error) {
	a, err := readAck(dir)
	return State{Epoch: a.Epoch, Head: a.Head, Acked: a.Last, AckedHash: a.Hash, Proof: a.Proof}, err
}

// writeAck notes the state beside the file. It comes after the transaction: stopped in between, the note
// is behind, never ahead.
func (s *Spool) writeAck() error {
	s.noteMu.Lock()
	defer s.noteMu.Unlock()
	st := s.State()
	a := ackFile{Epoch: st.Epoch, Last: st.Acked, Hash: st.AckedHash, Proof: st.Proof, Head: st.Head}
	if a == s.noted {
		return nil
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := durable.Write(filepath.Join(s.dir, ackName), body, 0o600); err != nil {
		return fmt.Errorf("note the acknowledged position: %w", err)
	}
	s.noted = a
	return nil
}
