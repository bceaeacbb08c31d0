package x11

import "fmt"

// extension is where the server put an extension's numbers.
type extension struct {
	present      bool
	major, event byte
}

// extension asks for an extension once, and fails if the server has none of that name.
func (c *Conn) extension(name string) (extension, error) {
	e, known := c.exts[name]
	if !known {
		m, err := c.ask(opQueryExtension, 0, padded(words(uint32(len(name))), name))
		if err != nil {
			return e, err
		}
		e = extension{present: m[8] == 1, major: m[9], event: m[10]}
		c.exts[name] = e
	}
	if !e.present {
		return e, fmt.Errorf("x11: the server has no %s extension", name)
	}
	return e, nil
}
