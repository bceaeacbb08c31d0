package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"testing"
)

// TestICO reads the file as Windows does, and compares every pixel with the drawing.
func TestICO(t *testing.T) {
	sizes := []int{16, 20, 24, 32, 48, 64}
	for i := range icons {
		file := i.ICO(sizes...)
		le := binary.LittleEndian
		if le.Uint16(file) != 0 || le.Uint16(file[2:]) != 1 || int(le.Uint16(file[4:])) != len(sizes) {
			t.Fatalf("icon %d: header % x", i, file[:6])
		}
		end := 6 + 16*len(sizes)
		for k, size := range sizes {
			entry := file[6+16*k:]
			length, offset := int(le.Uint32(entry[8:])), int(le.Uint32(entry[12:]))
			if int(entry[0]) != size || int(entry[1]) != size || offset != end {
				t.Fatalf("icon %d, %d pixels: entry % x", i, size, entry[:16])
			}
			end = offset + length
			compareBitmap(t, file[offset:end], i.Draw(size))
		}
		if end != len(file) {
			t.Errorf("icon %d: %d bytes, %d told of", i, len(file), end)
		}
	}
}

func compareBitmap(t *testing.T, b []byte, img *image.RGBA) {
	t.Helper()
	size := img.Bounds().Dx()
	le := binary.LittleEndian
	if int(le.Uint32(b[4:])) != size || int(le.Uint32(b[8:])) != 2*size || le.Uint16(b[14:]) != 32 {
		t.Fatalf("%d pixels: header % x", size, b[:40])
	}
	for y := range size {
		for x := range size {
			p := b[40+4*(size*(size-1-y)+x):]
			at := img.RGBAAt(x, y)
			for k, want := range []byte{at.B, at.G, at.R} {
				if got := int(p[k]) * int(p[3]) / 255; p[3] != at.A || got < int(want)-2 || got > int(want)+2 {
					t.Fatalf("%d pixels, (%d,%d): % x, want %v", size, x, y, p[:4], at)
				}
			}
		}
	}
	if mask := b[40+4*size*size:]; !bytes.Equal(mask, make([]byte, (size+31)/32*4*size)) {
		t.Errorf("%d pixels: mask % x", size, mask)
	}
}
