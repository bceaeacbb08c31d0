package x11

import (
	"encoding/binary"
	"fmt"
	"image"
	"math/bits"
)

// CreateGC makes a graphics context for a window.
func (c *Conn) CreateGC(window uint32) (uint32, error) {
	id, err := c.NewID()
	if err != nil {
		return 0, err
	}
	return id, c.send(opCreateGC, 0, words(id, window, 0))
}

// FreeGC gives a graphics context back.
func (c *Conn) FreeGC(id uint32) error { return c.send(opFreeGC, 0, words(id)) }

// PutImage draws img, whose alpha is not looked at, with its upper left corner at x, y of window. It is sent in
// as many pieces as the server's limit on requests asks for. Screens of 16 and 32 bits per pixel are served.
func (c *Conn) PutImage(window, gc uint32, x, y int16, img *image.RGBA) error {
	size := img.Bounds().Size()
	stride := c.Screen.stride(size.X)
	if stride <= 0 || size.Y <= 0 {
		return fmt.Errorf("x11: no way to draw %v on a screen of %d bits per pixel", size, c.Screen.BitsPerPixel)
	}
	rows := (c.setup.maxRequest - 24) / stride
	if rows < 1 || size.Y > 1<<14 {
		return fmt.Errorf("x11: an image of %v is larger than the server takes", size)
	}
	for from := 0; from < size.Y; from += rows {
		n := min(rows, size.Y-from)
		body := words(window, gc, pair(uint16(size.X), uint16(n)), pair(uint16(x), uint16(int(y)+from)), uint32(c.Screen.Depth)<<8)
		body = c.Screen.pixels(body, img, from, n)
		const zPixmap = 2
		if err := c.send(opPutImage, zPixmap, body); err != nil {
			return err
		}
	}
	return nil
}

// stride is the length in bytes of one line of an image, 0 if that cannot be drawn.
func (sc *Screen) stride(width int) int {
	if width <= 0 || width > 1<<14 || (sc.BitsPerPixel != 16 && sc.BitsPerPixel != 32) {
		return 0
	}
	n := width * int(sc.BitsPerPixel/8)
	return n + pad(n)
}

// Pixel is the pixel of a colour on this screen.
func (sc *Screen) Pixel(r, g, b uint8) uint32 {
	return channel(r, sc.Red) | channel(g, sc.Green) | channel(b, sc.Blue)
}

func channel(v uint8, mask uint32) uint32 {
	wide := uint32(v) * 0x01010101 >> (32 - bits.OnesCount32(mask))
	return wide << bits.TrailingZeros32(mask) & mask
}

func (sc *Screen) pixels(b []byte, img *image.RGBA, from, rows int) []byte {
	var order binary.AppendByteOrder = binary.LittleEndian
	if sc.BigEndian {
		order = binary.BigEndian
	}
	box := img.Bounds()
	for y := from; y < from+rows; y++ {
		line := img.Pix[img.PixOffset(box.Min.X, box.Min.Y+y):][:4*box.Dx()]
		for ; len(line) > 0; line = line[4:] {
			p := sc.Pixel(line[0], line[1], line[2])
			if sc.BitsPerPixel == 16 {
				b = order.AppendUint16(b, uint16(p))
			} else {
				b = order.AppendUint32(b, p)
			}
		}
		b = append(b, make([]byte, pad(len(b)))...)
	}
	return b
}
