package file

import (
	"encoding/json"
	"fmt"

	"stepaway/durable"
	"stepaway/policy"
	"stepaway/trusted"
)

// Keep holds the last good policy: in memory while the agent runs, and for its next start in a file that only its owner
// reads.
type Keep struct {
	Path  string
	Owner uint32 // besides root

	last *good
}

// good is a policy that was taken, with what a later one is measured against.
type good struct {
	Documents []policy.Document `json:"documents"`
	Signers   []byte            `json:"signers"` // content of the allowed signers' file then; nil if the policy named none

	loaded policy.Loaded
}

// Load gives the last good policy, or fs.ErrNotExist where there is none.
func (k *Keep) Load() (policy.Loaded, error) {
	g, err := k.load()
	if err != nil {
		return policy.Loaded{}, err
	}
	return g.loaded, nil
}

func (k *Keep) load() (*good, error) {
	if k.last != nil {
		return k.last, nil
	}
	b, err := trusted.Read(k.Path, k.Owner, 3*maxBytes)
	if err != nil {
		return nil, err
	}
	var g good
	if err := json.Unmarshal(b, &g); err != nil {
		return nil, fmt.Errorf("last good policy %s: %w", k.Path, err)
	}
	if len(g.Documents) == 0 {
		return nil, fmt.Errorf("last good policy %s: empty", k.Path)
	}
	if g.loaded, err = policy.Parse(g.Documents); err != nil {
		return nil, fmt.Errorf("last good policy %s: %w", k.Path, err)
	}
	k.last = &g
	return &g, nil
}

// save keeps a policy that was taken.
func (k *Keep) save(g *good) error {
	k.last = g
	b, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	if err := durable.Write(k.Path, b, 0o600); err != nil {
		return fmt.Errorf("keep policy: %w", err)
	}
	return nil
}
