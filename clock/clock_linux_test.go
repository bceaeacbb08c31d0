package clock

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestNowIsTheKernelsUptime(t *testing.T) {
	b, err := os.ReadFile("/proc/uptime") // counts sleep, hundredths of a second
	if err != nil {
		t.Fatal(err)
	}
	up, err := time.ParseDuration(strings.Fields(string(b))[0] + "s")
	if err != nil {
		t.Fatal(err)
	}
	if now := Now(); now < up-20*time.Millisecond || now > up+time.Minute {
		t.Errorf("now is %v, the kernel says %v", now, up)
	}
}

// descriptors counts what this program has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
