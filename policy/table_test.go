package policy

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var addKeys = flag.Bool("addkeys", false, "write new keys to testdata/keys.txt")

func TestDefinitionsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Definitions {
		if seen[d.Key] {
			t.Errorf("%s stands twice", d.Key)
		}
		seen[d.Key] = true
		if d.Key == "" || strings.Count(d.Key, ".") > 1 || d.Key != strings.ToLower(d.Key) {
			t.Errorf("%q is no key", d.Key)
		}
		if d.Title == "" || !strings.HasSuffix(d.Help, ".") || d.Since == "" || d.Weaker == "" {
			t.Errorf("%s: title %q, help %q, since %q, weaker %q", d.Key, d.Title, d.Help, d.Since, d.Weaker)
		}
		if !slices.Contains([]string{"duration", "word", "switch", "text", "command", "clients", "roles"}, d.Kind) {
			t.Errorf("%s: kind %q", d.Key, d.Kind)
		}
		if d.Default == "" && d.Kind != "text" {
			t.Errorf("%s has no default", d.Key)
		}
		if d.Kind == "duration" && (d.Min < 0 || d.Max <= d.Min) {
			t.Errorf("%s: bounds %s to %s", d.Key, d.Min, d.Max)
		}
		if (d.Kind == "word" || d.Kind == "switch") && !slices.Contains(d.Words, d.Default) {
			t.Errorf("%s: default %q is none of %q", d.Key, d.Default, d.Words)
		}
		var p Policy
		if err := d.take(&p, mustNode(d.Default)); err != nil {
			t.Errorf("%s: its default: %v", d.Key, err)
		}
	}
}

// TestReleasedKeysStay: a key that once stood in somebody's file is understood for ever.
func TestReleasedKeysStay(t *testing.T) {
	const name = "testdata/keys.txt"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	released := strings.Fields(string(b))
	for _, key := range released {
		if _, known := find(key); !known {
			t.Errorf("%s was released and is gone", key)
		}
	}
	for _, d := range Definitions {
		if slices.Contains(released, d.Key) {
			continue
		}
		if !*addKeys {
			t.Errorf("%s is new: go test ./policy -run Keys -addkeys", d.Key)
		}
		released = append(released, d.Key)
	}
	if *addKeys {
		if err := os.WriteFile(name, []byte(strings.Join(released, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDurationReadsBack(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 20 * time.Second: "20s", time.Minute: "1m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 10 * time.Hour: "10h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s",
		24 * time.Hour: "24h", 100 * time.Hour: "100h", 1500 * time.Millisecond: "1.5s", time.Millisecond: "1ms",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
	r := random(1)
	for range 5000 {
		d := time.Duration(r.Int64N(int64(200 * time.Hour)))
		if r.IntN(2) == 0 {
			d = d.Round([]time.Duration{time.Second, time.Minute, time.Hour}[r.IntN(3)])
		}
		if back, err := time.ParseDuration(Duration(d)); err != nil || back != d {
			t.Fatalf("Duration(%s) = %q reads back as %s, %v", d, Duration(d), back, err)
		}
	}
}

func TestProofAtLeast(t *testing.T) {
	order := []Proof{ProofNone, ProofClaim, ProofLocker, ProofGreeter, ProofEnded}
	for i, p := range order {
		for j, q := range order {
			if p.AtLeast(q) != (i >= j) {
				t.Errorf("%s at least %s: %v", p, q, p.AtLeast(q))
			}
		}
		if i > 0 && Proof("surely").AtLeast(p) {
			t.Errorf("an unknown word is taken for %s", p)
		}
	}
}
