package words

import (
	"fmt"
	"strconv"
	"time"
)

// WholeSeconds is d in seconds, rounded up, so that nothing is called 0 before it is over. It is never
// negative.
func WholeSeconds(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int((d-1)/time.Second) + 1
}

// Countdown is a short length that is being counted down: "4:32", and under a minute "28 seconds".
func (c Catalogue) Countdown(d time.Duration) string {
	s := WholeSeconds(d)
	if s < 60 {
		return c.count(s, OneSecond, Seconds)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// Length is a length of time in words, as a policy sets it: "45 seconds", "15 minutes", "1 h 30 min".
func (c Catalogue) Length(d time.Duration) string {
	s := WholeSeconds(d)
	h, m := s/3600, s/60%60
	switch {
	case s < 60:
		return c.count(s, OneSecond, Seconds)
	case s < 3600 && s%60 != 0:
		return fmt.Sprintf("%d:%02d min", m, s%60)
	case s < 3600:
		return c.count(m, OneMinute, Minutes)
	case m == 0:
		return c.count(h, OneHour, Hours)
	}
	return c.Text(HoursAndMinutes, "h", strconv.Itoa(h), "m", strconv.Itoa(m))
}

// Remaining is a length of time to the nearest minute, and from a minute on down to the second. until is the
// length at which the words change.
func (c Catalogue) Remaining(d time.Duration) (text string, until time.Duration) {
	switch {
	case d <= 0:
		return c.Length(0), 0
	case d <= time.Minute:
		return c.Length(d), time.Duration(WholeSeconds(d)-1) * time.Second
	}
	whole := d.Round(time.Minute)
	return c.Length(whole), max(whole-time.Minute/2-1, time.Minute-time.Second)
}

func (c Catalogue) count(n int, one, many Key) string {
	if n == 1 {
		return c.Text(one)
	}
	return c.Text(many, "n", strconv.Itoa(n))
}
