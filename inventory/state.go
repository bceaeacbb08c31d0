package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"stepaway/audit"
)

// Words that stand for values.
const (
	gone       = "gone"
	fresh      = "new"
	unreadable = "unreadable"
	empty      = "none"
)

// Attributes of a file are items of their own, named after it.
const (
	owner = " owner"
	mode  = " mode"
	link  = " link"
)

var attributes = []string{owner, mode, link}

// maxItems bounds a state, above what any installation has.
const maxItems = 2048

// Policy is the name of the item that holds the hash of the policy in force. It is recorded and never drifts: changes
// of the policy have events of their own.
const Policy = "policy"

// Managed is the name of the item that says whether the service manager answered.
const Managed = "service-manager"

// State is what one version of the installation consists of.
type State struct {
	Version string            `json:"version"`
	Items   map[string]string `json:"items"` // name to value: 64 hex digits of SHA-256, or a label
}

// Hash names a state by all that it holds: SHA-256 in hex.
func (s State) Hash() string {
	b, err := json.Marshal(s) // maps are written in the order of their keys
	if err != nil {
		panic("inventory: " + err.Error()) // it is made of strings
	}
	return hash(b)
}

// Names lists the items in order.
func (s State) Names() []string { return slices.Sorted(maps.Keys(s.Items)) }

// add keeps an item. Name and value become labels or hashes.
func (s State) add(name, value string) {
	if name = label(name, longest); len(s.Items) < maxItems || s.Items[name] != "" {
		s.Items[name] = value
	}
}

// Difference is one item that is not as it was approved.
type Difference struct {
	Name string `json:"name"`
	Old  string `json:"old"` // "new" if the item came
	New  string `json:"new"` // "gone" if it went
}

// Compare names what differs, in the order of the names. Where a file is gone or came, its owner and mode are not named
// as well; where the service manager does not answer, no setting of it is.
func Compare(approved, now State) []Difference {
	var out []Difference
	names := maps.Clone(approved.Items)
	maps.Copy(names, now.Items)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := approved.Items[name]
		is, has := now.Items[name]
		if was == is && had == has || name == Policy || explained(name, approved, now) {
			continue
		}
		if !had {
			was = fresh
		}
		if !has {
			is = gone
		}
		out = append(out, Difference{name, was, is})
	}
	return out
}

// explained reports whether another item's difference says it all.
func explained(name string, a, b State) bool {
	for _, attribute := range attributes {
		if file, ok := strings.CutSuffix(name, attribute); ok {
			_, had := a.Items[file]
			_, has := b.Items[file]
			return had != has
		}
	}
	unanswered := a.Items[Managed] == unreadable || b.Items[Managed] == unreadable
	return unanswered && strings.Contains(name, ".service ")
}

// told is a value as an event has it: the first digits of a hash, or the word.
func told(value string) audit.Label {
	if len(value) == 64 && strings.Trim(value, "0123456789abcdef") == "" {
		value = value[:12]
	}
	return audit.MakeLabel(value)
}

// longest is the longest name of an item, in bytes.
const longest = 64

// label makes a name of at most so many bytes that an event holds whole: one that is longer or has foreign characters ends
// in part of its hash.
func label(name string, most int) string {
	if l := string(audit.MakeLabel(name)); l == name && len(l) <= most {
		return l
	}
	return string(audit.MakeLabel(name[:min(len(name), most-13)])) + ":" + hash([]byte(name))[:12]
}

// word is a setting's value: itself where it is short and plain, else its hash.
func word(value string) string {
	switch {
	case value == "":
		return empty
	case string(audit.MakeLabel(value)) == value && len(value) <= longest: // a hash too
		return value
	}
	return hash([]byte(value))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
