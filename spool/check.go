package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	bolt "go.etcd.io/bbolt"

	"stepaway/audit"
)

// Found is what a file holds, as far as it could be read.
type Found struct {
	Epoch   string `json:"epoch"`
	Head    uint64 `json:"head"`
	Acked   uint64 `json:"acked"`
	Records int    `json:"records"`
	Damage  string `json:"damage,omitempty"`
}

// Check reads the whole file at path and answers ErrDamaged when any page, event or link of the chain is not
// as it was written. A file without a spool in it yet is sound. On a damaged file it may end the process:
// see InChild.
func Check(path string) (f Found, err error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return f, err
	}
	db, _, err := openFile(path, true)
	if errors.Is(err, ErrBusy) {
		return f, err
	}
	if err != nil {
		return f, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			return errors.Join(f.chain(tx), pages(tx))
		})
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if err == nil {
		err = db.Close()
	}
	return f, err
}

// pages checks bbolt's own structure, so that writing to the file cannot damage it further.
func pages(tx *bolt.Tx) error {
	var first error
	for err := range tx.Check() {
		if first == nil {
			first = fmt.Errorf("%w: %v", ErrDamaged, err)
		}
	}
	return first
}

// chain walks from the freed position to the head.
func (f *Found) chain(tx *bolt.Tx) error {
	meta, events := tx.Bucket(metaBucket), tx.Bucket(eventBucket)
	if meta == nil {
		return nil
	}
	x := &txn{meta: meta}
	if err := x.read(); err != nil || events == nil || x.st.Format != format {
		return fmt.Errorf("%w: state unreadable", ErrDamaged)
	}
	st := x.st
	f.Epoch, f.Head, f.Acked = st.Epoch, st.Head, st.Acked
	seq, prev := st.Freed, st.FreedHash
	c := events.Cursor()
	k, body := c.First()
	for ; k != nil && bytes.Compare(k, key(st.Freed)) <= 0; k, body = c.Next() {
	}
	for ; k != nil; k, body = c.Next() {
		seq++
		if !bytes.Equal(k, key(seq)) || !continues(body, prev) {
			return fmt.Errorf("%w: event %d does not continue the one before it", ErrDamaged, seq)
		}
		prev = audit.Hash(body)
		if seq == st.Acked && prev != st.AckedHash {
			return fmt.Errorf("%w: event %d is not the one that was acknowledged", ErrDamaged, seq)
		}
		f.Records++
	}
	if seq != st.Head || prev != st.HeadHash {
		return fmt.Errorf("%w: the chain ends at %d, written were %d", ErrDamaged, seq, st.Head)
	}
	return nil
}

// Exit codes of CheckMain.
const (
	exitSound   = 0
	exitDamaged = 1
	exitBusy    = 3
)

// CheckMain is the child's side of InChild: it checks one file, writes what it found to w and answers the
// exit code. It limits its own memory first.
func CheckMain(path string, w io.Writer) int {
	_ = limitMemory(512 << 20)
	f, err := Check(path)
	code := exitSound
	switch {
	case errors.Is(err, ErrBusy):
		return exitBusy
	case err != nil:
		f.Damage, code = err.Error(), exitDamaged
	}
	if json.NewEncoder(w).Encode(f) != nil {
		return exitDamaged
	}
	return code
}

// checkLimit is how long a check may take; a full spool takes about a second.
const checkLimit = 60 * time.Second

// InChild answers a Check that runs in a child process, argv followed by the path, which is killed after a
// minute. The child must call CheckMain.
func InChild(argv ...string) func(path string) (Found, error) {
	return func(path string) (Found, error) { return checkInChild(checkLimit, append(argv, path)) }
}

func checkInChild(limit time.Duration, argv []string) (f Found, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"GOTRACEBACK=none"}
	out, err := cmd.Output()
	_ = json.Unmarshal(out, &f)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return f, nil
	case !errors.As(err, &exit):
		return Check(argv[len(argv)-1]) // no child could be started
	case exit.ExitCode() == exitBusy:
		return f, ErrBusy
	case f.Damage != "":
		return f, fmt.Errorf("%w: %s", ErrDamaged, f.Damage)
	}
	return f, fmt.Errorf("%w: the check ended with %v", ErrDamaged, err)
}
