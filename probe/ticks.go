package probe

import "time"

// ticks follows GetLastInputInfo, whose answer is a count of milliseconds in 32 bits: it comes round every 49.7 days, is not
// promised to rise, and a program that injects input may set it as it likes (SendInput carries a time of its own). So what the
// count says is believed only between two looks: an input that was not there before came after the look before.
type ticks struct {
	known  bool
	last   uint32        // the answer at the look before
	looked time.Duration // when that was
	at     time.Duration // boot time of the last input, 0 if none is known
}

// round is how long the count takes to come round, and half of it what can be told from the future.
const (
	round = 1 << 32 * time.Millisecond
	half  = round / 2
)

// look takes the answer last, and the count at the same moment, which was now; the machine has been up for up. It tells when
// the last input was, of whatever origin, 0 if that is not known.
func (t *ticks) look(now, up time.Duration, count, last uint32) time.Duration {
	first := !t.known
	if first || last != t.last {
		t.at = t.place(now, up, ago(count, last), first)
	}
	t.known, t.last, t.looked = true, last, now
	return t.at
}

// place says when an input was that the count says was so long ago. What does not fit between two looks came right after the
// first of them. At the very first look, where the count may have come round or is ahead, nothing is known.
func (t *ticks) place(now, up, ago time.Duration, first bool) time.Duration {
	at := now - ago
	if first && (up >= half || ago < 0 || at <= 0) {
		return 0
	}
	if !first && (at < t.looked || at > now) {
		return t.looked
	}
	return at
}

// ago is the time from then to now on a count that comes round; less than nothing where then seems to be ahead.
func ago(now, then uint32) time.Duration {
	return time.Duration(int32(now-then)) * time.Millisecond
}

// stamp is the boot time of a message of the queue, which bears the count at which it was posted. What seems to be ahead, or
// from before the queue was last empty, was posted between that and now: the earliest is taken.
func stamp(now, emptied time.Duration, count, posted uint32) time.Duration {
	at := now - ago(count, posted)
	if at < emptied || at > now {
		return emptied
	}
	return at
}
