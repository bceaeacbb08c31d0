package picture

import (
	"bytes"
	"encoding/binary"
	"image"
)

// ICO is the icon as a file of Windows, in each of sizes: pixels, 16 to 255.
func (i Icon) ICO(sizes ...int) []byte {
	var dir, images bytes.Buffer
	writeLE(&dir, uint16(0), uint16(1), uint16(len(sizes))) // an icon
	offset := 6 + 16*len(sizes)
	for _, size := range sizes {
		b := bitmap(i.Draw(size))
		writeLE(&dir, uint8(size), uint8(size), uint16(0), uint16(1), uint16(32), uint32(len(b)), uint32(offset+images.Len()))
		images.Write(b)
	}
	return append(dir.Bytes(), images.Bytes()...)
}

// bitmap is a picture as icons of Windows have it: a header, the pixels from the lowest row up, and a mask of one bit for
// each, which is 0 because the pixels say themselves what shines through.
func bitmap(img *image.RGBA) []byte {
	var b bytes.Buffer
	size := img.Bounds().Size()
	mask := make([]byte, (size.X+31)/32*4*size.Y)
	writeLE(&b, uint32(40), int32(size.X), int32(2*size.Y), uint16(1), uint16(32), uint32(0),
		uint32(4*size.X*size.Y+len(mask)), int32(0), int32(0), uint32(0), uint32(0))
	for y := size.Y - 1; y >= 0; y-- {
		for x := range size.X {
			b.Write(straight(img.Pix[img.PixOffset(x, y):]))
		}
	}
	b.Write(mask)
	return b.Bytes()
}

// straight is a pixel as blue, green, red and how much it covers, the colours not yet weakened by that.
func straight(p []byte) []byte {
	cover := int(p[3])
	if cover == 0 {
		return []byte{0, 0, 0, 0}
	}
	full := func(v byte) byte { return byte(min(255, (int(v)*255+cover/2)/cover)) }
	return []byte{full(p[2]), full(p[1]), full(p[0]), p[3]}
}

func writeLE(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, binary.LittleEndian, v) // into memory
	}
}
