package clock

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var handleCount = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetProcessHandleCount")

// descriptors counts what this program has open.
func descriptors(t *testing.T) int {
	t.Helper()
	var n uint32
	if ok, _, err := handleCount.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&n))); ok == 0 {
		t.Fatal(err)
	}
	return int(n)
}

func TestNowIsTheSystemsUptime(t *testing.T) {
	up := windows.DurationSinceBoot()
	if now := Now(); now < up-time.Second || now > up+time.Minute {
		t.Errorf("now is %v, the system says %v", now, up)
	}
	if a := Asleep(); a < 0 || a > Now() {
		t.Errorf("%v asleep", a)
	}
}

// TestBootIDOfAnotherProcess: every process of one boot says the same.
func TestBootIDOfAnotherProcess(t *testing.T) {
	here, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("CLOCK_TEST_CHILD") != "" {
		t.Log("boot " + here)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestBootIDOfAnotherProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "CLOCK_TEST_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "boot "+here) {
		t.Errorf("here %s, there %v\n%s", here, err, out)
	}
}

// TestTimerLooksAgain: one of its two timers that comes early, as when the clock is set, is no tick.
func TestTimerLooksAgain(t *testing.T) {
	tm := timer(t)
	at := Now() + 300*time.Millisecond
	set(t, tm, at)
	early := int64(-1)
	if err := setWaitableTimer(tm.wall, &early, 0, 0, 0, false); err != nil {
		t.Fatal(err)
	}
	tick(t, tm)
	if now := Now(); now < at {
		t.Errorf("ticked %v early", at-now)
	}
	set(t, tm, Now()+time.Hour) // as if the machine had slept through that hour
	tm.mu.Lock()
	tm.at = Now()
	tm.mu.Unlock()
	if err := setWaitableTimer(tm.wall, &early, 0, 0, 0, false); err != nil {
		t.Fatal(err)
	}
	tick(t, tm)
}
