package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Relaxation is one setting that became weaker.
type Relaxation struct {
	Key, Old, New string
}

// Relaxes names every setting of next that is weaker than in p, by the table's word for weaker.
func Relaxes(p, next *Policy) []Relaxation {
	var out []Relaxation
	for _, d := range Definitions {
		was, is := d.Value(p), d.Value(next)
		if d.weaker(p, next) {
			out = append(out, Relaxation{d.Key, brief(was), brief(is)})
		}
	}
	return out
}

func (d Definition) weaker(p, next *Policy) bool {
	switch d.Weaker {
	case Longer:
		was, is := *d.read(p).(*time.Duration), *d.read(next).(*time.Duration)
		if d.OrZero {
			was, is = orForever(was), orForever(is)
		}
		return is > was
	case Earlier:
		return slices.Index(d.Words, fmt.Sprint(d.Value(next))) < slices.Index(d.Words, fmt.Sprint(d.Value(p)))
	case Change:
		return compact(d.Value(p)) != compact(d.Value(next))
	default:
		return false
	}
}

func orForever(d time.Duration) time.Duration {
	if d == 0 {
		return 1<<63 - 1
	}
	return d
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("policy: " + err.Error())
	}
	return string(b)
}

// brief is a value short enough for an event: lists by their length.
func brief(v any) string {
	switch v := v.(type) {
	case []string:
		return fmt.Sprintf("%d entries", len(v))
	case []clientValue:
		return fmt.Sprintf("%d entries", len(v))
	case []roleValue:
		return fmt.Sprintf("%d entries", len(v))
	default:
		return fmt.Sprint(v)
	}
}
