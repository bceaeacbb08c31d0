package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// taken holds entries as the event log would.
type taken []string

func (t *taken) Report(l slog.Level, n uint32, text string) error {
	*t = append(*t, fmt.Sprint(l, " ", n, " ", text))
	return nil
}

func TestEventsHaveNumbersAndOneText(t *testing.T) {
	var got taken
	log := slog.New(EventHandler{Log: &got}).With("run", 7)
	log.Debug("not told")
	log.Info("enforcing", "version", "1.0")
	log.Warn("never heard of")
	log.Error("session not secured; trying again", "session", "a b\x00c", "error", errors.New("x\ny"))
	want := []string{
		"INFO 100 enforcing run=7 version=1.0",
		"WARN 2 never heard of run=7",
		`ERROR 120 session not secured; trying again run=7 session="a b\x00c" error="x\ny"`,
	}
	if fmt.Sprint(got) != fmt.Sprint(taken(want)) {
		t.Errorf("%q", got)
	}
	log.Error("x", "long", strings.Repeat("y", 1<<20))
	if n := len(got[3]); n > maxEvent+20 {
		t.Errorf("%d bytes of a long line", n)
	}
}

// TestNumbersAreOfMessages: each number is of one message that a program logs, and one that the system's file of messages has.
func TestNumbersAreOfMessages(t *testing.T) {
	var source bytes.Buffer
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "journal") {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/windows.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]string{}
	for text, n := range Numbers {
		if n <= PlainError || n > 1000 {
			t.Errorf("%q has the number %d", text, n)
		}
		if other, twice := seen[n]; twice {
			t.Errorf("%d is of %q and %q", n, text, other)
		}
		seen[n] = text
		if !bytes.Contains(source.Bytes(), []byte(fmt.Sprintf("(%q", text))) {
			t.Errorf("nothing logs %q", text)
		}
		if !bytes.Contains(doc, fmt.Appendf(nil, "| %d | %s | ", n, text)) {
			t.Errorf("docs/windows.md has no %d %q", n, text)
		}
	}
}
