//go:build linux

package rig

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Shot takes a picture of a display. It is kept as name.png in the directory that $STEPAWAY_SHOTS names, if it is set.
func Shot(t testing.TB, display, name string) image.Image {
	t.Helper()
	cmd := exec.Command(Tool(t, "import"), "-display", display, "-window", "root", "png:-")
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("take a picture of %s: %v", display, err)
	}
	if dir := os.Getenv("STEPAWAY_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("read the picture of %s: %v", display, err)
	}
	return img
}

// Xdo runs xdotool on a display and returns what it printed.
func Xdo(t testing.TB, display string, args ...string) string {
	t.Helper()
	cmd := exec.Command(Tool(t, "xdotool"), args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	out, err := output(cmd)
	if err != nil {
		t.Fatalf("xdotool %v: %v", args, err)
	}
	return strings.TrimSpace(out)
}
