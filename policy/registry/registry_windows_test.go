package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	win "golang.org/x/sys/windows/registry"

	"stepaway/policy"
)

const root = `HKLM\` + policy.RegistryRoot

// TestMain keeps these tests, which write the policy of the computer, to a computer made for them.
func TestMain(m *testing.M) {
	if os.Getenv("STEPAWAY_WINE_TEST") == "" {
		fmt.Println("these tests change the policy of this computer: run them with `make test`, in a Windows of their own")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// reg runs the system's own program.
func reg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("reg", append(args, "/f")...).CombinedOutput(); err != nil {
		t.Fatalf("reg %q: %v\n%s", args, err, out)
	}
}

// clean removes the policy, before and after a test.
func clean(t *testing.T) {
	remove := func() { _ = exec.Command("reg", "delete", root, "/f").Run() }
	remove()
	t.Cleanup(remove)
}

// parsed is the policy that stands in the registry.
func parsed(t *testing.T) policy.Loaded {
	t.Helper()
	docs, err := Source{}.Documents()
	if err != nil {
		t.Fatal(err)
	}
	l, err := policy.Parse(docs)
	if err != nil {
		t.Fatalf("%v in\n%s", err, docs[0].Text)
	}
	return l
}

func TestReadsWhatRegWrites(t *testing.T) {
	clean(t)
	reg(t, "add", root, "/v", "Limit", "/t", "REG_DWORD", "/d", "600")
	reg(t, "add", root+`\Lock`, "/v", "proof", "/t", "REG_SZ", "/d", "greeter")
	reg(t, "add", root+`\lock`, "/v", "terminate", "/t", "REG_DWORD", "/d", "1")
	reg(t, "add", root+`\lock`, "/v", "fallback", "/t", "REG_MULTI_SZ", "/d", `/usr/bin/i3lock\0-n`)
	reg(t, "add", root+`\roles\limit`, "/v", "clinical", "/d", "30m")
	reg(t, "add", root+`\roles\groups`, "/v", "clinical", "/d", `EXAMPLE\Ärzte|nurses`)
	reg(t, "add", root+`\clients\paths`, "/v", "Example EHR", "/d", `C:\Program Files\Example\ehr.exe`)
	reg(t, "add", root+`\clients\grace`, "/v", "Example EHR", "/d", "10s")
	reg(t, "add", root+`\collector`, "/v", "ca", "/t", "REG_EXPAND_SZ", "/d", `C:\%PROGRAMDATA%\ca.pem`)
	l := parsed(t)
	want := policy.Default()
	want.Limit = 10 * time.Minute
	want.Lock = policy.LockPolicy{Proof: policy.ProofGreeter, Fallback: []string{"/usr/bin/i3lock", "-n"}, Terminate: true}
	want.Roles = []policy.Role{{Name: "clinical", Groups: []string{`EXAMPLE\Ärzte`, "nurses"}, Terms: policy.Terms{Limit: 30 * time.Minute}}}
	want.Clients = []policy.Client{{Name: "Example EHR", Paths: []string{`C:\Program Files\Example\ehr.exe`}, AtDeadline: policy.Close,
		Grace: 10 * time.Second, BusyMost: 2 * time.Minute}}
	want.Collector.CA = `C:\%PROGRAMDATA%\ca.pem`
	if l.Policy.Hash() != want.Hash() {
		t.Errorf("read  %+v\nwant %+v", l.Policy, want)
	}
	if l.Source["limit"] != root || l.Source["warning"] != "" {
		t.Errorf("sources %v", l.Source)
	}
}

func TestNothingThere(t *testing.T) {
	clean(t)
	if _, err := (Source{}).Documents(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	reg(t, "add", root+`\lock`) // may give the key an empty default value
	if _, err := (Source{}).Documents(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no values: %v", err)
	}
}

func TestWrongTypes(t *testing.T) {
	clean(t)
	reg(t, "add", root, "/v", "limit", "/t", "REG_QWORD", "/d", "600")
	reg(t, "add", root+`\lock`, "/v", "terminate", "/t", "REG_SZ", "/d", "yes")
	reg(t, "add", root+`\lock`, "/v", "proof", "/t", "REG_BINARY", "/d", "00")
	_, err := Source{}.Documents()
	var ps policy.Problems
	if !errors.As(err, &ps) || len(ps) != 3 {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{`limit: REG_QWORD; write it as REG_DWORD in seconds`, `lock\proof: REG_BINARY; write it as REG_SZ`,
		`lock\terminate: REG_SZ; write it as REG_DWORD, 0 or 1`} {
		if got := ps[i].String(); got != root+": "+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestBounds(t *testing.T) {
	clean(t)
	reg(t, "add", root+`\a\b\c\d\e`, "/v", "x", "/d", "y")
	if _, err := (Source{}).Documents(); err == nil || !strings.Contains(err.Error(), `a\b\c\d: subkeys deeper than a policy has`) {
		t.Errorf("deep: %v", err)
	}
	reg(t, "delete", root+`\a`)
	k, _, err := win.CreateKey(win.LOCAL_MACHINE, policy.RegistryRoot, win.SET_VALUE|win.WOW64_64KEY)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for i := range 40 {
		if err := k.SetBinaryValue(fmt.Sprint("v", i), make([]byte, 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (Source{}).Documents(); err == nil || !strings.Contains(err.Error(), "more than 8192 values or 256 KiB") {
		t.Errorf("much: %v", err)
	}
}

// TestUsersPolicyIsIgnored: a user may write HKCU, and group policy for users writes there.
func TestUsersPolicyIsIgnored(t *testing.T) {
	clean(t)
	mine := `HKCU\` + policy.RegistryRoot
	t.Cleanup(func() { _ = exec.Command("reg", "delete", mine, "/f").Run() })
	reg(t, "add", mine, "/v", "limit", "/t", "REG_DWORD", "/d", "86400")
	if docs, err := (Source{}).Documents(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read %d documents, %v", len(docs), err)
	}
}

// TestOneView: policies are one key for programs of 32 and of 64 bits.
func TestOneView(t *testing.T) {
	clean(t)
	reg(t, "add", root, "/v", "limit", "/t", "REG_DWORD", "/d", "600", "/reg:32")
	reg(t, "add", root, "/v", "warning", "/t", "REG_DWORD", "/d", "60", "/reg:64")
	if p := parsed(t).Policy; p.Limit != 10*time.Minute || p.Warning != time.Minute {
		t.Errorf("limit %s, warning %s", p.Limit, p.Warning)
	}
}

// watched is a running watch, and the ways to wait for it.
func watched(t *testing.T) (<-chan struct{}, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	ch, err := Source{}.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ch, stop
}

// TestWatch tells of every way in which the policy changes, and says how long that took.
func TestWatch(t *testing.T) {
	clean(t)
	_ = win.DeleteKey(win.LOCAL_MACHINE, `Software\Policies`) // if nothing else is in it
	ch, stop := watched(t)
	for _, c := range []struct {
		what string
		args []string
	}{
		{"key created", []string{"add", root}},
		{"value added", []string{"add", root, "/v", "limit", "/t", "REG_DWORD", "/d", "600"}},
		{"value changed", []string{"add", root, "/v", "limit", "/t", "REG_DWORD", "/d", "700"}},
		{"subkey created", []string{"add", root + `\lock`, "/v", "proof", "/d", "claim"}},
		{"value of a subkey changed", []string{"add", root + `\lock`, "/v", "proof", "/d", "greeter"}},
		{"value of a subkey of a subkey added", []string{"add", root + `\roles\limit`, "/v", "a", "/d", "5m"}},
		{"value of a subkey deleted", []string{"delete", root + `\lock`, "/v", "proof"}},
		{"subkey deleted", []string{"delete", root + `\lock`}},
		{"key deleted", []string{"delete", root}},
		{"key created again", []string{"add", root, "/v", "limit", "/t", "REG_DWORD", "/d", "600"}},
		{"value of it changed", []string{"add", root, "/v", "limit", "/t", "REG_DWORD", "/d", "800"}},
		{"parent deleted", []string{"delete", `HKLM\Software\Policies`}},
		{"created with its parent", []string{"add", root + `\lock`, "/v", "proof", "/d", "claim"}},
	} {
		drain(ch)
		reg(t, c.args...)
		began := time.Now()
		select {
		case <-ch:
			t.Logf("%-40s told after %s", c.what, time.Since(began).Round(time.Millisecond))
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing was told", c.what)
		}
	}
	stop()
	for range ch {
	}
}

// drain takes what is still told of an earlier change.
func drain(ch <-chan struct{}) {
	for {
		select {
		case <-ch:
		case <-time.After(2 * settle):
			return
		}
	}
}

// TestWatchTellsOfABurstOnce and tells nothing of what is beside the policy.
func TestWatchTellsOfABurstOnce(t *testing.T) {
	clean(t)
	reg(t, "add", root+`\lock`)
	ch, _ := watched(t)
	k, err := win.OpenKey(win.LOCAL_MACHINE, policy.RegistryRoot, win.SET_VALUE|win.WOW64_64KEY)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for i := range 50 {
		if err := k.SetDWordValue("limit", uint32(600+i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-ch:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was told")
	}
	if got := parsed(t).Policy.Limit; got != 649*time.Second {
		t.Errorf("told before the last value: %s", got)
	}
	reg(t, "add", `HKLM\Software\Policies\Other\Deep`)
	drain(ch) // a new neighbour may be told
	reg(t, "add", `HKLM\Software\Policies\Other\Deep`, "/v", "x", "/d", "y")
	select {
	case <-ch:
		t.Error("told of a neighbour's value")
	case <-time.After(settle + restless):
	}
}

var getProcessHandleCount = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetProcessHandleCount")

func handles(t *testing.T) uint32 {
	t.Helper()
	var n uint32
	if ok, _, err := getProcessHandleCount.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&n))); ok == 0 {
		t.Fatal(err)
	}
	return n
}

// TestNothingIsLeft of watches that ended, changes that were told, and readings.
func TestNothingIsLeft(t *testing.T) {
	clean(t)
	reg(t, "add", root+`\lock`, "/v", "proof", "/d", "claim")
	limit := uint32(600) // the same again would be no change
	round := func() {
		ch, stop := watched(t)
		k, err := win.OpenKey(win.LOCAL_MACHINE, policy.RegistryRoot, win.SET_VALUE|win.WOW64_64KEY)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if err := k.SetDWordValue("limit", limit); err != nil {
			t.Fatal(err)
		}
		limit++
		select {
		case <-ch:
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was told")
		}
		parsed(t)
		stop()
		for range ch {
		}
	}
	round()
	hs, gs := handles(t), runtime.NumGoroutine()
	for range 5 {
		round()
	}
	if h, g := handles(t), runtime.NumGoroutine(); h > hs+2 || g > gs {
		t.Errorf("%d handles and %d goroutines, before %d and %d", h, g, hs, gs)
	}
}
