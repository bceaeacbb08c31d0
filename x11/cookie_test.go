package x11

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func entry(family uint16, address, number, name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, family)
	for _, f := range []string{address, number, name, string(data)} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return b
}

func secret(c byte) []byte { return []byte(strings.Repeat(string(c), 16)) }

func TestPickCookie(t *testing.T) {
	const me = "workstation"
	join := func(e ...[]byte) (all []byte) {
		for _, b := range e {
			all = append(all, b...)
		}
		return all
	}
	own := entry(familyLocal, me, "7", magicCookie, secret('o'))
	old := entry(familyLocal, "oldname", "7", magicCookie, secret('r'))
	wild := entry(familyWild, "", "", magicCookie, secret('w'))
	for name, c := range map[string]struct {
		file []byte
		want byte
	}{
		"own entry before the others": {join(old, wild, own), 'o'},
		"any host before an old name": {join(old, wild), 'w'},
		"an old name":                 {old, 'r'},
		"another display":             {entry(familyLocal, me, "8", magicCookie, secret('x')), 0},
		"another kind of secret":      {entry(familyLocal, me, "7", "XDM-AUTHORIZATION-1", secret('x')), 0},
		"a secret of another length":  {entry(familyLocal, me, "7", magicCookie, []byte("short")), 0},
		"a network address":           {entry(0, "\x7f\x00\x00\x01", "7", magicCookie, secret('x')), 0},
		"empty":                       {nil, 0},
		"torn after a whole entry":    {join(own, own[:9]), 'o'},
		"garbage":                     {[]byte("\xff\xff\xff\xff"), 0},
	} {
		got, err := pickCookie(c.file, ":7.0", me)
		if c.want == 0 {
			if !errors.Is(err, ErrNoCookie) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		} else if err != nil || string(got.Data) != string(secret(c.want)) {
			t.Errorf("%s: %q, %v", name, got.Data, err)
		}
	}
}

func TestCookieIsNotShown(t *testing.T) {
	c := Cookie{magicCookie, secret('S')}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%v", &c)} {
		if strings.Contains(s, "SSS") || strings.Contains(s, "83 83") || strings.Contains(s, "0x53") {
			t.Errorf("shown as %s", s)
		}
	}
}
