package policy

import "go.yaml.in/yaml/v3"

// entriesOf reads a list of sections that have a name of their own. All that is wrong in it is in the error.
func entriesOf[E any](n *yaml.Node, fields []Definition) ([]E, error) {
	items, err := itemsOf(n)
	if err != nil {
		return nil, err
	}
	var out []E
	var wrong several
	names := map[string]bool{}
	for _, it := range items {
		e := newEntry[E](fields)
		err := named(takeFields(e, fields, it), fields[0].valueIn(e).(string))
		if err == nil {
			err = entryError(e, fields, names)
		}
		if err != nil {
			wrong = append(wrong, at(err, it))
			continue
		}
		out = append(out, *e)
	}
	return out, wrong.orNil()
}

// named says in each error of an entry which entry it is, where it has a name.
func named(err error, name string) error {
	each, ok := err.(several)
	if !ok || name == "" {
		return err
	}
	for i, e := range each {
		if _, more := e.(several); more {
			each[i] = named(e, name)
		} else {
			each[i] = &located{errorf("%q: %w", name, e), nodeOf(e, nil)}
		}
	}
	return each
}

// entryError says what is missing in an entry, and remembers its name, which is the first field.
func entryError(e any, fields []Definition, names map[string]bool) error {
	name := fields[0].valueIn(e).(string)
	switch {
	case name == "":
		return errorf("name is missing")
	case names[name]:
		return errorf("name %q stands twice", name)
	}
	names[name] = true
	for _, f := range fields {
		if list, isList := f.valueIn(e).([]string); f.Required && isList && len(list) == 0 {
			return errorf("%q has no %s", name, f.Key)
		}
	}
	return nil
}

// takeFields hands each field of an entry to its reader.
func takeFields(e any, fields []Definition, n *yaml.Node) error {
	fs, err := fieldsOf(n)
	var wrong several
	if err != nil {
		wrong = append(wrong, at(err, n))
	}
	for _, f := range fs {
		d, known := findIn(fields, f.name)
		if !known {
			wrong = append(wrong, &located{errorf("unknown key %q", printable(f.name)), f.key})
			continue
		}
		if err := d.take(e, f.value); err != nil {
			wrong = append(wrong, &located{errorf("%s: %w", f.name, err), nodeOf(err, f.value)})
		}
	}
	return wrong.orNil()
}

func nodeOf(err error, otherwise *yaml.Node) *yaml.Node {
	if l, ok := err.(*located); ok {
		return l.node
	}
	return otherwise
}
