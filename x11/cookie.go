package x11

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Cookie is what a server asks of a client that connects. The zero Cookie is none. It is a secret: it has no
// String method that shows it, and is never logged.
type Cookie struct {
	Name string // "MIT-MAGIC-COOKIE-1"
	Data []byte
}

// String keeps the secret out of logs.
func (c Cookie) String() string { return "cookie(" + c.Name + ")" }

// GoString keeps the secret out of logs.
func (c Cookie) GoString() string { return c.String() }

// ErrNoCookie says that an Xauthority file was read and holds nothing for the display.
var ErrNoCookie = errors.New("x11: no cookie for this display")

const (
	magicCookie   = "MIT-MAGIC-COOKIE-1"
	familyLocal   = 256
	familyWild    = 65535
	maxXauthority = 256 << 10 // bytes
)

// pickCookie finds the cookie of display in the contents of an Xauthority file, best match first: this host's
// own entry, one for any host, one that a host of another name left (a machine that was renamed).
func pickCookie(file []byte, display, host string) (Cookie, error) {
	n, err := displayNumber(display)
	if err != nil {
		return Cookie{}, err
	}
	var best Cookie
	rank := 0
	for rest := file; len(rest) > 0; {
		var e authEntry
		var ok bool
		if e, rest, ok = nextEntry(rest); !ok {
			break // a torn end: what came before it counts
		}
		if r := e.rank(strconv.Itoa(n), host); r > rank {
			best, rank = Cookie{Name: e.name, Data: e.data}, r
		}
	}
	if rank == 0 {
		return Cookie{}, fmt.Errorf("%w (%s)", ErrNoCookie, display)
	}
	return best, nil
}

type authEntry struct {
	family                uint16
	address, number, name string
	data                  []byte
}

func (e authEntry) rank(number, host string) int {
	if e.name != magicCookie || len(e.data) != 16 || (e.number != "" && e.number != number) {
		return 0
	}
	switch {
	case e.family == familyLocal && e.address == host:
		return 3
	case e.family == familyWild:
		return 2
	case e.family == familyLocal:
		return 1
	}
	return 0
}

func nextEntry(b []byte) (e authEntry, rest []byte, ok bool) {
	if len(b) < 2 {
		return e, nil, false
	}
	e.family = binary.BigEndian.Uint16(b)
	rest = b[2:]
	var field [4][]byte
	for i := range field {
		if len(rest) < 2 {
			return e, nil, false
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; n > len(rest) {
			return e, nil, false
		}
		field[i], rest = rest[:n], rest[n:]
	}
	e.address, e.number, e.name = string(field[0]), string(field[1]), string(field[2])
	e.data = append([]byte(nil), field[3]...)
	return e, rest, true
}
