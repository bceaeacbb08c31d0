package picture

import (
	"encoding/binary"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Weight chooses one of the two fonts.
type Weight uint8

// The weights.
const (
	Regular Weight = iota
	Bold
)

var (
	regular = sync.OnceValue(func() *font { return readFont(goregular.TTF) })
	bold    = sync.OnceValue(func() *font { return readFont(gobold.TTF) })
)

func (w Weight) font() *font {
	if w == Bold {
		return bold()
	}
	return regular()
}

// font is a TrueType font built into the program, so its bytes are trusted. Lengths are in font units.
type font struct {
	glyf, loca, hmtx, cmap []byte // cmap: the subtable of format 4
	units                  int    // per em
	metrics                int    // glyphs that have an advance of their own
	longLoca               bool
	ascent, descent        int // both positive
}

var be = binary.BigEndian

func u16(b []byte, at int) int { return int(be.Uint16(b[at:])) }
func i16(b []byte, at int) int { return int(int16(be.Uint16(b[at:]))) }

func readFont(ttf []byte) *font {
	tables := map[string][]byte{}
	for i := range u16(ttf, 4) {
		entry := ttf[12+16*i:]
		offset, length := be.Uint32(entry[8:]), be.Uint32(entry[12:])
		tables[string(entry[:4])] = ttf[offset : offset+length]
	}
	head, hhea := tables["head"], tables["hhea"]
	return &font{
		glyf: tables["glyf"], loca: tables["loca"], hmtx: tables["hmtx"], cmap: formatFour(tables["cmap"]),
		units: u16(head, 18), longLoca: u16(head, 50) != 0, metrics: u16(hhea, 34),
		ascent: i16(hhea, 4), descent: -i16(hhea, 6),
	}
}

// formatFour finds the table that maps the characters of the basic plane.
func formatFour(cmap []byte) []byte {
	for i := range u16(cmap, 2) {
		if sub := cmap[be.Uint32(cmap[8+8*i:]):]; u16(sub, 0) == 4 {
			return sub
		}
	}
	return nil
}

// glyph is the number of the glyph of r, 0 (an empty box) if the font has none.
func (f *font) glyph(r rune) int {
	if f.cmap == nil || r > 0xffff {
		return 0
	}
	n := u16(f.cmap, 6) // twice the number of segments
	ends, starts, deltas, offsets := 14, 16+n, 16+2*n, 16+3*n
	for i := 0; i < n; i += 2 {
		if int(r) > u16(f.cmap, ends+i) {
			continue
		}
		start := u16(f.cmap, starts+i)
		if int(r) < start {
			return 0
		}
		offset := u16(f.cmap, offsets+i)
		if offset == 0 {
			return (int(r) + u16(f.cmap, deltas+i)) & 0xffff
		}
		g := u16(f.cmap, offsets+i+offset+2*(int(r)-start))
		if g == 0 {
			return 0
		}
		return (g + u16(f.cmap, deltas+i)) & 0xffff
	}
	return 0
}

// advance is how far the next glyph is from the beginning of g.
func (f *font) advance(g int) int { return u16(f.hmtx, 4*min(g, f.metrics-1)) }

// data is the description of a glyph, empty for a blank.
func (f *font) data(g int) []byte {
	if f.longLoca {
		return f.glyf[be.Uint32(f.loca[4*g:]):be.Uint32(f.loca[4*g+4:])]
	}
	return f.glyf[2*u16(f.loca, 2*g) : 2*u16(f.loca, 2*g+2)]
}

// node is a point of an outline, y upwards; off the curve it bends it.
type node struct {
	x, y int
	on   bool
}

// outline is the closed curves of a glyph.
func (f *font) outline(g int) [][]node {
	d := f.data(g)
	switch {
	case len(d) == 0:
		return nil
	case i16(d, 0) < 0:
		return f.composite(d[10:])
	}
	return simple(d)
}

// Flags of the points of a simple glyph.
const (
	onCurve = 1 << iota
	shortX
	shortY
	repeated
	sameX // with shortX: to the right
	sameY // with shortY: upwards
)

func simple(d []byte) [][]node {
	curves := i16(d, 0)
	total := u16(d, 10+2*(curves-1)) + 1
	at := 10 + 2*curves
	at += 2 + u16(d, at) // the hinting program
	flags := make([]byte, 0, total)
	for len(flags) < total {
		flag, times := d[at], 1
		at++
		if flag&repeated != 0 {
			times += int(d[at])
			at++
		}
		for range times {
			flags = append(flags, flag)
		}
	}
	nodes := make([]node, total)
	at = coordinates(d, at, flags, shortX, sameX, func(i, v int) { nodes[i].x = v })
	coordinates(d, at, flags, shortY, sameY, func(i, v int) { nodes[i].y = v })
	out, from := make([][]node, curves), 0
	for i := range out {
		end := u16(d, 10+2*i) + 1
		out[i], from = nodes[from:end], end
	}
	for i := range nodes {
		nodes[i].on = flags[i]&onCurve != 0
	}
	return out
}

// coordinates reads one coordinate of every point, each relative to the one before.
func coordinates(d []byte, at int, flags []byte, short, same byte, set func(i, v int)) (end int) {
	v := 0
	for i, flag := range flags {
		switch {
		case flag&short != 0 && flag&same != 0:
			v += int(d[at])
			at++
		case flag&short != 0:
			v -= int(d[at])
			at++
		case flag&same == 0:
			v += i16(d, at)
			at += 2
		}
		set(i, v)
	}
	return at
}

// composite puts a glyph together from others, such as a letter and its accent. The fonts scale none of them.
func (f *font) composite(d []byte) [][]node {
	const wide, more = 1 << 0, 1 << 5
	var out [][]node
	for {
		flags, g := u16(d, 0), u16(d, 2)
		dx, dy, size := int(int8(d[4])), int(int8(d[5])), 6
		if flags&wide != 0 {
			dx, dy, size = i16(d, 4), i16(d, 6), 8
		}
		for _, curve := range f.outline(g) {
			moved := make([]node, len(curve))
			for i, n := range curve {
				moved[i] = node{x: n.x + dx, y: n.y + dy, on: n.on}
			}
			out = append(out, moved)
		}
		if flags&more == 0 {
			return out
		}
		d = d[size:]
	}
}
