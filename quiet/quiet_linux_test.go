package quiet

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reportSize is that of struct input_event.
const reportSize = 24

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMain lets the test program be the mouse of TestRestingWakesNobody.
func TestMain(m *testing.M) {
	if path := os.Getenv("QUIET_TEST_MOUSE"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		var report [reportSize]byte
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if _, err := f.Write(report[:]); err != nil {
				os.Exit(0) // nobody reads any longer
			}
		}
	}
	os.Exit(m.Run())
}

// mouse starts a process that reports a thousand times a second until nobody reads.
func mouse(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "event0")
	must(t, unix.Mkfifo(path, 0o600))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "QUIET_TEST_MOUSE="+path)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return path
}

// switches counts how often this process gave up the processor while f ran.
func switches(t *testing.T, f func()) int64 {
	var before, after unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	f()
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	return after.Nvcsw - before.Nvcsw
}

// TestRestingWakesNobody: while a reader rests, a mouse that moves does not wake the process, as it does through a file
// that the runtime watches.
func TestRestingWakesNobody(t *testing.T) {
	const rests = 1500 * time.Millisecond
	buf := make([]byte, reportSize)

	f, err := os.OpenFile(mouse(t), os.O_RDONLY|unix.O_NONBLOCK, 0)
	must(t, err)
	for { // a FIFO that nobody has opened for writing yet is at its end
		if _, err := f.Read(buf); err != io.EOF {
			must(t, err)
			break
		}
		time.Sleep(time.Millisecond)
	}
	watched := switches(t, func() { time.Sleep(rests) })
	f.Close()

	d, err := Open(mouse(t))
	must(t, err)
	must(t, d.Wait())
	_, err = d.Arrived(buf)
	must(t, err)
	alone := switches(t, func() { time.Sleep(rests) })
	must(t, d.Wait()) // and it is heard again
	d.Close()
	t.Logf("voluntary switches in %v: %d with a file of package os, %d quietly", rests, watched, alone)
	if watched < 200 {
		t.Errorf("the runtime was woken only %d times: this test shows nothing", watched)
	}
	if alone > watched/5 {
		t.Errorf("woken %d times while resting, %d through a file", alone, watched)
	}
}

func TestFileThatIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "event0")
	must(t, unix.Mkfifo(path, 0o600))
	keep, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer keep.Close()
	d, err := Open(path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if err := d.Wait(); err == nil {
			t.Error("a device that was closed has input")
		}
	}()
	time.Sleep(50 * time.Millisecond)
	d.Close()
	d.Close()
	<-ctx.Done()
	if _, err := d.Arrived(make([]byte, 1)); err == nil {
		t.Error("a closed device is read")
	}
	if d.Wait() == nil {
		t.Error("a closed device is waited for")
	}
}
