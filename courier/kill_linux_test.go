package courier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"stepaway/collector"
	"stepaway/courier"
	"stepaway/uplink"
)

// Names of the environment by which the test's own program is told to be the courier that is killed.
const (
	killDir   = "STEPAWAY_TEST_DIR"
	killURL   = "STEPAWAY_TEST_URL"
	killToken = "STEPAWAY_TEST_TOKEN"
	killAhead = "STEPAWAY_TEST_AHEAD"
)

// TestMain is also the victim: it renews or enrolls, with all its file operations on one thread, where strace counts them.
func TestMain(m *testing.M) {
	dir := os.Getenv(killDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := victim(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func victim(dir string) error {
	ctx := context.Background()
	if text := os.Getenv(killToken); text != "" {
		tok, err := uplink.ParseToken(text)
		if err != nil {
			return err
		}
		_, err = courier.Enroll(ctx, courier.EnrollOptions{Dir: dir, URL: os.Getenv(killURL)}, tok)
		return err
	}
	ahead, err := time.ParseDuration(os.Getenv(killAhead))
	if err != nil {
		return err
	}
	c, err := client(dir, os.Getenv(killURL), ahead)
	if err != nil {
		return err
	}
	if renewed, err := c.Renew(ctx); err != nil || !renewed {
		return fmt.Errorf("renewed %v: %w", renewed, err)
	}
	return nil
}

// client is a courier that believes the time to be ahead.
func client(dir, url string, ahead time.Duration) (*courier.Client, error) {
	id, err := courier.LoadIdentity(dir)
	if err != nil {
		return nil, err
	}
	return courier.NewClient(id, courier.ClientOptions{URL: url,
		Clock: courier.NewClock(func() time.Time { return time.Now().Add(ahead) }, nil)})
}

// calls are those by which a program changes files.
var calls = []string{"openat", "write", "fsync", "renameat", "renameat2", "unlinkat", "mkdirat", "fchmod", "close"}

// atEachCall calls f with each call and number until f says that there was none of that number. It answers how many there were.
func atEachCall(f func(call string, n int) bool) (places int) {
	for _, call := range calls {
		for n := 1; f(call, n); n++ {
			places++
		}
	}
	return places
}

// killedAt runs the victim and kills it when it is about to make its nth such call on a file of the identity. It reports
// whether it came that far.
func killedAt(t *testing.T, call string, n int, dir string, env ...string) bool {
	t.Helper()
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call, "-P", dir, "-P", dir+".new",
		"-P", filepath.Join(dir, "device.next.pem"), "-P", filepath.Join(dir, "device.next.pem.new"), "-P", filepath.Join(dir, "device.pem"),
		"-P", filepath.Join(dir+".new", "device.pem.new"), "-P", filepath.Join(dir+".new", "device.pem"),
		"-P", filepath.Join(dir+".new", "ca.crt.new"), "-P", filepath.Join(dir+".new", "collector.json.new"),
		"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n), os.Args[0])
	cmd.Env = append(os.Environ(), append(env, killDir+"="+dir)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.Is(err, exec.ErrNotFound):
		t.Fatal("no strace; run `make deps`")
	case errors.As(err, &exit) && !exit.Exited() || strings.Contains(said.String(), "killed") || exit.ExitCode() == 137:
		return true
	}
	t.Fatalf("%s %d: %v\n%s", call, n, err, said.String())
	return false
}

// TestKilledInTheMiddleOfARenewal: at each step, what is left on disk is an identity that works and that renews.
func TestKilledInTheMiddleOfARenewal(t *testing.T) {
	h := newHouse(t, time.Now(), collector.PKI{})
	begin := h.now()
	ctx := context.Background()
	const ahead = 23 * day
	places := atEachCall(func(call string, n int) bool {
		h.moment.Store(begin.UnixNano())
		w, err := h.workstation("ws-1", 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		h.pass(ahead)
		killed := killedAt(t, call, n, w.dir, killURL+"="+h.url, killAhead+"="+ahead.String())
		c, err := client(w.dir, h.url, ahead)
		if err != nil {
			t.Fatalf("killed before %s %d: %v", call, n, err)
		}
		defer c.Close()
		if err := c.Probe(ctx); err != nil {
			t.Fatalf("killed before %s %d: %v", call, n, err)
		}
		if _, err := c.Renew(ctx); err != nil {
			t.Fatalf("killed before %s %d: %v", call, n, err)
		}
		if err := c.Probe(ctx); err != nil {
			t.Fatalf("killed before %s %d, renewed after: %v", call, n, err)
		}
		if _, err := os.Stat(filepath.Join(w.dir, "device.next.pem")); err == nil {
			t.Errorf("killed before %s %d: the old key is still there after the new one was used", call, n)
		}
		return killed
	})
	t.Logf("killed at %d places", places)
	if places < 12 {
		t.Errorf("killed at %d places only", places)
	}
}

// TestKilledInTheMiddleOfEnrolling: the device has its identity from before, or the new one, and never half of each.
func TestKilledInTheMiddleOfEnrolling(t *testing.T) {
	h := newHouse(t, time.Now(), collector.PKI{})
	places := atEachCall(func(call string, n int) bool {
		w, err := h.workstation("ws-1", 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		killed := killedAt(t, call, n, w.dir, killURL+"="+h.url, killToken+"="+h.token("ws-1").String())
		c, err := client(w.dir, h.url, 0)
		if err != nil {
			t.Fatalf("killed before %s %d: %v", call, n, err)
		}
		defer c.Close()
		if err := c.Probe(context.Background()); err != nil {
			t.Fatalf("killed before %s %d: %v", call, n, err)
		}
		return killed
	})
	t.Logf("killed at %d places", places)
	if places < 20 {
		t.Errorf("killed at %d places only", places)
	}
}
