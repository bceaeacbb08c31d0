package words

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var gap = regexp.MustCompile(`\{[a-z]+\}`)

func gaps(s string) []string {
	g := gap.FindAllString(s, -1)
	slices.Sort(g)
	return slices.Compact(g)
}

func TestEveryTextInEveryLanguage(t *testing.T) {
	for k := range texts {
		for l, text := range texts[k] {
			if strings.TrimSpace(text) == "" || text != strings.TrimSpace(text) {
				t.Errorf("text %d in language %d is %q", k, l, text)
			}
			if got, want := gaps(text), gaps(texts[k][English]); !slices.Equal(got, want) {
				t.Errorf("text %d in language %d has gaps %v, in English %v", k, l, got, want)
			}
			if strings.ContainsAny(text, "<>&\n\t—–") || text != Clean(text) {
				t.Errorf("text %d in language %d has a character that does not belong: %q", k, l, text)
			}
		}
	}
}

func TestSpanishIsNotEnglish(t *testing.T) {
	same := map[Key]bool{Product: true, AboutVersion: true, HoursAndMinutes: true}
	for k := range texts {
		if texts[k][English] == texts[k][Spanish] && !same[Key(k)] {
			t.Errorf("text %d is not translated: %q", k, texts[k][English])
		}
	}
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want Language
	}{
		{nil, English},
		{map[string]string{"LANG": "es_MX.UTF-8"}, Spanish},
		{map[string]string{"LANG": "es"}, Spanish},
		{map[string]string{"LANG": "ES@euro"}, Spanish},
		{map[string]string{"LANG": "est_EE.UTF-8"}, English},
		{map[string]string{"LANG": "C"}, English},
		{map[string]string{"LANG": "es_ES", "LC_MESSAGES": "en_US"}, English},
		{map[string]string{"LANG": "en_US", "LC_MESSAGES": "es_US"}, Spanish},
		{map[string]string{"LC_ALL": "es", "LC_MESSAGES": "en_US", "LANG": "en_US"}, Spanish},
		{map[string]string{"LANG": "\x00es"}, English},
	} {
		if got := Pick(func(k string) string { return c.env[k] }).Language(); got != c.want {
			t.Errorf("%v: language %d, want %d", c.env, got, c.want)
		}
	}
}

func TestFillsCannotRewriteTheText(t *testing.T) {
	got := In(English).Text(WarnClose, "clients", "EHR {left}\n\x1b[2J\u202e\x00", "left", "9 seconds")
	if want := "Closing EHR {left}[2J in 9 seconds"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimes(t *testing.T) {
	en, es := In(English), In(Spanish)
	for _, c := range []struct {
		d                    time.Duration
		countdown, length, r string
	}{
		{-time.Second, "0 seconds", "0 seconds", "0 seconds"},
		{0, "0 seconds", "0 seconds", "0 seconds"},
		{time.Millisecond, "1 second", "1 second", "1 second"},
		{time.Second, "1 second", "1 second", "1 second"},
		{28*time.Second - 1, "28 seconds", "28 seconds", "28 seconds"},
		{time.Minute, "1:00", "1 minute", "1 minute"},
		{time.Minute + 1, "1:01", "1:01 min", "1 minute"},
		{4*time.Minute + 32*time.Second, "4:32", "4:32 min", "5 minutes"},
		{15 * time.Minute, "15:00", "15 minutes", "15 minutes"},
		{time.Hour, "60:00", "1 hour", "1 hour"},
		{90*time.Minute + 59*time.Second, "90:59", "1 h 30 min", "1 h 31 min"},
		{8 * time.Hour, "480:00", "8 hours", "8 hours"},
	} {
		r, _ := en.Remaining(c.d)
		if a, b := en.Countdown(c.d), en.Length(c.d); a != c.countdown || b != c.length || r != c.r {
			t.Errorf("%v: %q %q %q, want %q %q %q", c.d, a, b, r, c.countdown, c.length, c.r)
		}
	}
	if got := es.Length(30 * time.Minute); got != "30 minutos" {
		t.Errorf("Spanish: %q", got)
	}
}

// The words of Remaining hold until the length it names, and not longer.
func TestRemainingHoldsUntilItSays(t *testing.T) {
	en := In(English)
	changes := 0
	for d := 20*time.Minute + 7; d > 0; changes++ {
		text, until := en.Remaining(d)
		if until >= d || until < 0 {
			t.Fatalf("at %v until %v", d, until)
		}
		if just, _ := en.Remaining(until + 1); just != text {
			t.Errorf("%q at %v is already %q at %v", text, d, just, until+1)
		}
		if next, _ := en.Remaining(until); next == text {
			t.Errorf("%q at %v is still so at %v", text, d, until)
		}
		d = until
	}
	if changes != 20+59 {
		t.Errorf("%d changes", changes)
	}
}

func TestWarning(t *testing.T) {
	for action := range warnings {
		for l := English; l < languages; l++ {
			title, body := In(l).Warning(action, "", 4*time.Minute+32*time.Second)
			if !strings.Contains(title, "4:32") || gap.MatchString(title+body) {
				t.Errorf("%s in language %d: %q, %q", action, l, title, body)
			}
		}
	}
	title, body := In(English).Warning("close-clients", "Example EHR", 9*time.Second)
	if title != "Closing Example EHR in 9 seconds" || !strings.Contains(body, "Save your work.") {
		t.Errorf("%q, %q", title, body)
	}
	unknown, _ := In(English).Warning("melt", "", time.Second)
	if unknown != "This screen locks in 1 second" {
		t.Errorf("an unknown action is told as %q", unknown)
	}
}

func TestUnknownKeyIsEmpty(t *testing.T) {
	if got := In(200).Text(keys); got != "" {
		t.Errorf("got %q", got)
	}
}
