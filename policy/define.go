package policy

import (
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// Weaker says in which direction a value of a setting makes the policy weaker.
type Weaker string

const (
	Longer   Weaker = "longer"   // a longer duration is weaker
	Earlier  Weaker = "earlier"  // an earlier word of Words is weaker
	Fewer    Weaker = "fewer"    // a list that lost an element is weaker
	Replaced Weaker = "replaced" // any change of a value that was set may be weaker and is treated as such
	Change   Weaker = "change"   // any change may be weaker and is treated as such
	Inside   Weaker = "inside"   // a list that lost an entry is weaker, or one of whose entries is, by its fields
	Outcome  Weaker = "outcome"  // weaker if what it comes to is weaker for any user of any workstation
	Neither  Weaker = "neither"  // neither direction is weaker
)

// Kind is the form of a value.
type Kind string

const (
	KindDuration Kind = "duration" // like 15m
	KindNumber   Kind = "number"   // a whole number
	KindWord     Kind = "word"     // one of Words
	KindSwitch   Kind = "switch"   // false or true
	KindText     Kind = "text"
	KindTexts    Kind = "texts"   // a list of texts
	KindEntries  Kind = "entries" // a list of entries that have Fields
)

// Said is a text for people, in English and Spanish.
type Said struct{ En, Es string }

// Definition is one setting, or one field of the entries of a setting: the only place where it is described.
type Definition struct {
	Key      string // as in policy.yaml, sections joined by dots
	Title    Said   // without a full stop
	Help     Said   // whole sentences
	Since    string // first release
	Kind     Kind
	Words    []string      // from the weakest, where one is weaker
	Meanings []Said        // of Words, one each, without a capital and a full stop; none where they go without saying
	Min, Max time.Duration // bounds of a duration, both allowed
	OrZero   bool          // a duration may also be 0
	Most     int           // of a number, which begins at 0
	Longest  int           // of a text, in bytes; 0: MaxText
	Pattern  string        // of a text that is set, or of each of texts: what a schema can say of the form; "": nothing
	Weaker   Weaker
	Default  string // as it would be written in policy.yaml; "" of a text or a field: not set
	Example  string // as it would be written in policy.yaml, where the default shows too little
	Required bool   // an entry without this field is refused
	Fields   []Definition

	// read points into the owner: *Policy, or the entry whose field this is. take sets it there if the node is right.
	read func(owner any) any
	take func(owner any, n *yaml.Node) error
	// entry makes an empty entry, by a pointer; moot says of one that it asks for nothing, so that losing it loses nothing.
	entry func() any
	moot  func(entry any) bool
}

// Section is a part of a policy that holds several settings.
type Section struct {
	Key   string
	Title Said
}

func duration[T any](d Definition, at func(*T) *time.Duration) Definition {
	d.Kind = KindDuration
	return bind(d, at, func(n *yaml.Node) (time.Duration, error) { return durationOf(n, d.Min, d.Max, d.OrZero) })
}

func number[T any](d Definition, at func(*T) *int) Definition {
	d.Kind = KindNumber
	return bind(d, at, func(n *yaml.Node) (int, error) { return numberOf(n, d.Most) })
}

func word[T any, W ~string](d Definition, at func(*T) *W) Definition {
	d.Kind = KindWord
	return bind(d, at, func(n *yaml.Node) (W, error) {
		w, err := wordOf(n, d.Words)
		return W(w), err
	})
}

func toggle[T any](d Definition, at func(*T) *bool) Definition {
	d.Kind, d.Words = KindSwitch, []string{"false", "true"}
	return bind(d, at, func(n *yaml.Node) (bool, error) {
		w, err := wordOf(n, d.Words)
		return w == "true", err
	})
}

// text is a text that check accepts, or "".
func text[T any](d Definition, at func(*T) *string, check func(string) error) Definition {
	d.Kind = KindText
	return bind(d, at, func(n *yaml.Node) (string, error) {
		s, err := textOf(n)
		if err == nil && s != "" {
			err = check(s)
		}
		if err == nil && d.Longest > 0 && len(s) > d.Longest {
			err = errorf("longer than %d bytes", d.Longest)
		}
		return s, err
	})
}

// texts is a list whose elements check accepts, told how many stand before.
func texts[T any](d Definition, at func(*T) *[]string, check func(i int, s string) error) Definition {
	d.Kind = KindTexts
	return bind(d, at, func(n *yaml.Node) ([]string, error) { return textsOf(n, check) })
}

// entries is a list of sections, each with a name of its own.
func entries[T any, E any](d Definition, at func(*T) *[]E, moot func(*E) bool) Definition {
	d.Kind = KindEntries
	d.entry = func() any { return newEntry[E](d.Fields) }
	d.moot = func(e any) bool { return moot != nil && moot(e.(*E)) }
	return bind(d, at, func(n *yaml.Node) ([]E, error) { return entriesOf[E](n, d.Fields) })
}

// bind ties a definition to the field that at points to and to the reader of its value.
func bind[T, V any](d Definition, at func(*T) *V, read func(*yaml.Node) (V, error)) Definition {
	d.read = func(owner any) any { return at(owner.(*T)) }
	d.take = func(owner any, n *yaml.Node) error {
		v, err := read(n)
		if err == nil {
			*at(owner.(*T)) = v
		}
		return err
	}
	return d
}

// newEntry makes an entry with its defaults.
func newEntry[E any](fields []Definition) *E {
	e := new(E)
	setDefaults(fields, e)
	return e
}

// setDefaults gives every setting of owner its default.
func setDefaults(defs []Definition, owner any) {
	for _, d := range defs {
		if d.Default == "" {
			continue
		}
		if err := d.take(owner, mustNode(d.Default)); err != nil {
			panic("policy: default of " + d.Key + ": " + err.Error())
		}
	}
}

// Value of a setting in p, for printing: durations in the policy's own words, lists never nil.
func (d Definition) Value(p *Policy) any { return d.valueIn(p) }

func (d Definition) valueIn(owner any) any {
	v := reflect.ValueOf(d.read(owner)).Elem()
	switch d.Kind {
	case KindDuration:
		return Duration(time.Duration(v.Int()))
	case KindNumber:
		return int(v.Int())
	case KindSwitch:
		return v.Bool()
	case KindTexts:
		return append([]string{}, v.Interface().([]string)...)
	case KindEntries:
		out := make([]Entry, 0, v.Len())
		for i := range v.Len() {
			out = append(out, d.entryValue(v.Index(i).Addr().Interface()))
		}
		return out
	default:
		return v.String()
	}
}

// entryValue lists what is set in an entry, and what has a default other than nothing.
func (d Definition) entryValue(e any) Entry {
	var out Entry
	for _, f := range d.Fields {
		if f.Default != "" || !reflect.ValueOf(f.read(e)).Elem().IsZero() {
			out = append(out, Field{f.Key, f.valueIn(e)})
		}
	}
	return out
}

// Entry is one entry of a list, in the order of its fields.
type Entry []Field

// Field is one value of an entry.
type Field struct {
	Key   string
	Value any
}
