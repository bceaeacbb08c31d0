package wine

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// place is where the programs of this test are, and what is planted beside them.
const place = `windows/temp/placed`

// TestPlantedLibrariesAreNotLoaded: a library of every name that Windows has lies beside the programs. Whoever may write
// there may also replace the programs, but a directory of downloads is written by everybody.
func TestPlantedLibrariesAreNotLoaded(t *testing.T) {
	w := New(t)
	dir := w.C(place)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	plant(t, w.C("windows/system32"), dir)
	for _, p := range []struct {
		pkg  string
		args []string
		bad  bool
	}{
		{"stepaway/test/wine/careless", nil, true},
		{"stepaway/cmd/agent", []string{"status"}, false},
		{"stepaway/cmd/agent", []string{"policy", "show"}, false},
		{"stepaway/cmd/courier", []string{"status"}, false},
		{"stepaway/cmd/courier", []string{"enroll", "--thumbprint", strings.Repeat("0", 40), "--collector", "https://localhost:1", "--ca", `C:\no.pem`}, false},
		{"stepaway/cmd/tray", nil, false},
		{"stepaway/cmd/collector", []string{"init", "--data", `C:\data`}, false},
	} {
		exe := filepath.Join(dir, filepath.Base(p.pkg)+".exe")
		if _, err := os.Stat(exe); err != nil {
			if err := os.Rename(Build(t, p.pkg), exe); err != nil {
				t.Fatal(err)
			}
		}
		loaded := w.loads(t, exe, p.args...)
		if !strings.Contains(strings.ToLower(loaded), `system32\\kernel32.dll`) {
			t.Fatalf("what %s loads is not seen: %s", p.pkg, loaded)
		}
		if got := planted(loaded); (got != "") != p.bad {
			t.Errorf("%s %q loads from beside it: %s", p.pkg, p.args, got)
		}
	}
}

// loads runs a program, for a few seconds if it does not end by itself, and says what was loaded and from where.
func (w *Windows) loads(t *testing.T, exe string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	cmd := w.Command(ctx, exe, args...)
	cmd.Env = append(cmd.Env, "WINEDEBUG=+loaddll")
	var out bytes.Buffer
	cmd.Stderr = &out
	cmd.WaitDelay = time.Second
	_ = cmd.Run() // whether it does its work is not the question
	return out.String()
}

// planted are the lines that tell of a library from the place. Wine says "builtin"
// where it then takes its own instead; Windows would not.
func planted(loaded string) string {
	var bad []string
	for line := range strings.Lines(loaded) {
		low := strings.ToLower(line)
		if strings.Contains(low, `\\placed\\`) && strings.Contains(low, `.dll"`) {
			bad = append(bad, line)
		}
	}
	return strings.Join(bad, "")
}

// known are libraries that Windows 10 takes from nowhere but its own place, whoever asks for them: those of the registry key
// Session Manager\KnownDLLs that our programs or libraries of Windows ask for, and what those themselves are made of.
var known = []string{"ntdll.dll", "kernel32.dll", "kernelbase.dll", "imm32.dll", "rpcrt4.dll", "combase.dll", "coml2.dll", "ole32.dll"}

// plant puts a library that does nothing into dir, under every name of system but the known ones.
func plant(t *testing.T, system, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(system, "*.dll"))
	if err != nil || len(names) < 100 {
		t.Fatalf("%d libraries in %s, %v", len(names), system, err)
	}
	for _, name := range names {
		if slices.Contains(known, filepath.Base(name)) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), library(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// library is the least that Windows takes for a library: headers and one empty section of code, no entry, no exports.
func library(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	put := func(vs ...any) {
		for _, v := range vs {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	put([]byte("MZ"), make([]byte, 58), uint32(64), []byte("PE\x00\x00"))
	put(uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x2022)) // x64, a section, a library
	put(uint16(0x20b), uint16(0), uint32(0x200), uint32(0), uint32(0), uint32(0), uint32(0x1000), uint64(0x180000000), uint32(0x1000), uint32(0x200))
	put(uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0), uint32(0x2000), uint32(0x200), uint32(0))
	put(uint16(3), uint16(0x100), uint64(1<<20), uint64(1<<12), uint64(1<<20), uint64(1<<12), uint32(0), uint32(16), make([]byte, 16*8))
	put([]byte(".text\x00\x00\x00"), uint32(0x200), uint32(0x1000), uint32(0x200), uint32(0x200), make([]byte, 12), uint32(0x60000020))
	b.Write(make([]byte, 0x400-b.Len()))
	return b.Bytes()
}
