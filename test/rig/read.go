//go:build linux

package rig

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/image/draw"
)

// Read reads the text on a picture, one line for each of its lines, as well as a machine can. The picture should hold
// little else.
func Read(t testing.TB, img image.Image) string {
	t.Helper()
	box := img.Bounds()
	times := max(1, min(3, 1500/box.Dx())) // letters of a screen are too small for it, those of a poster too large
	large := image.NewGray(image.Rect(0, 0, box.Dx()*times, box.Dy()*times))
	draw.CatmullRom.Scale(large, large.Bounds(), img, box, draw.Src, nil)
	var in bytes.Buffer
	if err := png.Encode(&in, large); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Tool(t, "tesseract"), "stdin", "stdout", "--psm", "6")
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read a picture: %v", err)
	}
	return strings.TrimSpace(string(out))
}
