package idle

import (
	"math"
	"testing"
	"time"
)

func TestServerClock(t *testing.T) {
	const ms = time.Millisecond
	k := serverClock{counter: 1}
	k.keep(5000, time.Hour, false)
	if at := k.boot(4900); at != time.Hour-100*ms {
		t.Errorf("100 ms ago: %v", at)
	}
	if at := k.boot(5003); at != time.Hour+3*ms {
		t.Errorf("just after: %v", at)
	}
	k.keep(math.MaxUint32+11, 2*time.Hour, false) // the events' 32 bits have wrapped
	if at := k.boot(math.MaxUint32 - 9); at != 2*time.Hour-20*ms {
		t.Errorf("20 ms ago across the wrap: %v", at)
	}
	k.keep(math.MaxUint32+1011, 2*time.Hour+8*time.Hour+time.Second, true) // slept 8 h within the second
	if at := k.boot(uint32(1010 - 1000)); at != 2*time.Hour {
		t.Errorf("an event from before the sleep is dated %v", at)
	}
	k.keep(math.MaxUint32+2011, 2*time.Hour+8*time.Hour+2*time.Second, true)
	if at := k.boot(2010); at != 10*time.Hour+2*time.Second {
		t.Errorf("an event after the sleep is dated %v", at)
	}
	if at := k.boot(2010 + 1<<31); at < 1 {
		t.Errorf("a senseless time: %v", at)
	}
	blind := serverClock{at: time.Minute}
	if at := blind.boot(77); at != time.Minute {
		t.Errorf("without a clock: %v", at)
	}
}
