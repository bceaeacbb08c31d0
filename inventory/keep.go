package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stepaway/durable"
)

// Kept is what survives a restart.
type Kept struct {
	Approved State        `json:"approved"`
	Sum      string       `json:"sum"`     // hash of Approved
	Present  State        `json:"present"` // as it was last seen
	At       time.Time    `json:"at"`      // when; wall clock, for people
	Open     []Difference `json:"open"`    // what differed then
	Answers  string       `json:"answers"` // the last request that was answered
}

// Request is what an administrator asks of the running agent.
type Request struct {
	Name    string `json:"name"`              // chosen at random
	Approve string `json:"approve,omitempty"` // hash of the state that shall count as approved; "": only look
	By      string `json:"by,omitempty"`      // login of who asks
}

// Folder is the agent's state directory, which only its owner may enter.
type Folder string

const maxKept = 4 << 20 // bytes

// ErrDamaged is the error of a file that is there and cannot be used.
var ErrDamaged = errors.New("damaged")

func (f Folder) kept() string    { return filepath.Join(string(f), "inventory.json") }
func (f Folder) request() string { return filepath.Join(string(f), "inventory.ask") }

// Load gives what was kept: fs.ErrNotExist where nothing was, ErrDamaged where it cannot be used.
func (f Folder) Load() (Kept, error) {
	var k Kept
	if err := load(f.kept(), &k); err != nil {
		return Kept{}, err
	}
	if k.Approved.Items == nil || k.Approved.Hash() != k.Sum {
		return Kept{}, fmt.Errorf("%s: %w: its sum is wrong", f.kept(), ErrDamaged)
	}
	return k, nil
}

// Save keeps k. After a loss of power the file is whole: the old or the new one.
func (f Folder) Save(k Kept) error {
	k.Sum = k.Approved.Hash()
	return save(f.kept(), k)
}

// Ask leaves a request for the running agent, in place of one that was not answered.
func (f Folder) Ask(r Request) error { return save(f.request(), r) }

// Withdraw takes a request back that nobody has taken.
func (f Folder) Withdraw() error { return os.Remove(f.request()) }

// take gives the request that waits, and removes it.
func (f Folder) take() (Request, error) {
	var r Request
	err := load(f.request(), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return Request{}, err
	}
	return r, errors.Join(err, os.Remove(f.request()))
}

func save(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return durable.Write(path, b, 0o600)
}
