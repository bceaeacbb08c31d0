package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// entry reads the fields of one datagram.
func entry(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for len(b) > 0 {
		name, rest, found := bytes.Cut(b, []byte("\n"))
		if !found || len(rest) < 9 {
			t.Fatalf("a field is cut short: %q", b)
		}
		n := binary.LittleEndian.Uint64(rest)
		out[string(name)], b = string(rest[8:8+n]), rest[8+n+1:]
	}
	return out
}

func TestEntriesHaveFieldsAndPriority(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetReadDeadline(time.Now().Add(time.Minute))
	log := slog.New(Handler{Sink: dial(path, &bytes.Buffer{})}).With("run", 7)
	read := func() map[string]string {
		b := make([]byte, 64<<10)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return entry(t, b[:n])
	}
	log.Debug("not told")
	log.Warn("policy not taken", "in force", "last good", "error", errors.New("a\nMESSAGE=forged"), "n", 3)
	got := read()
	want := map[string]string{"PRIORITY": "4", "STEPAWAY_IN_FORCE": "last good", "STEPAWAY_ERROR": "a\nMESSAGE=forged", "STEPAWAY_N": "3", "STEPAWAY_RUN": "7",
		"MESSAGE": `policy not taken run=7 in force="last good" error="a\nMESSAGE=forged" n=3`}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	log.Error("x", "long", strings.Repeat("y", 1<<20))
	if got := read(); got["PRIORITY"] != "3" || len(got["STEPAWAY_LONG"]) != maxText {
		t.Errorf("a long line: %d bytes of priority %s", len(got["STEPAWAY_LONG"]), got["PRIORITY"])
	}
	log.Info("fine")
	if got := read(); got["PRIORITY"] != "6" || got["MESSAGE"] != "fine run=7" {
		t.Errorf("%v", got)
	}
}

func TestALineThatTheJournalDoesNotTakeIsNotLost(t *testing.T) {
	var otherwise bytes.Buffer
	log := slog.New(Handler{Sink: dial(filepath.Join(t.TempDir(), "none"), &otherwise)})
	log.Error("session not secured", "session", "3")
	if got := otherwise.String(); got != "session not secured session=3\n" {
		t.Errorf("%q", got)
	}
}

func TestNothingIsDialledWhereStandardErrorLeadsElsewhere(t *testing.T) {
	for _, v := range []string{"", "1:2", "x"} {
		t.Setenv("JOURNAL_STREAM", v)
		if Dial(&bytes.Buffer{}) != nil {
			t.Errorf("dialled with JOURNAL_STREAM=%q", v)
		}
	}
}
