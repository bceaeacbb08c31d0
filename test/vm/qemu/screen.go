//go:build linux

package qemu

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
)

// Shot takes a picture of the screen and keeps it, numbered, under a name.
func (m *Machine) Shot(name string) image.Image {
	m.T.Helper()
	m.taken++
	return m.picture(filepath.Join(m.shots, fmt.Sprintf("%02d-%s.png", m.taken, name)))
}

// Look is Shot for a picture that is not kept.
func (m *Machine) Look() image.Image { m.T.Helper(); return m.picture(m.in("look.png")) }

func (m *Machine) picture(path string) image.Image {
	m.T.Helper()
	m.do("screendump", map[string]any{"filename": path, "format": "png"})
	f, err := os.Open(path)
	if err != nil {
		m.T.Fatalf("take a picture: %v", err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		m.T.Fatalf("read the picture %s: %v", path, err)
	}
	return img
}
