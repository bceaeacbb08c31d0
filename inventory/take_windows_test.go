package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows/registry"
)

// TestMain keeps these tests, which write below HKEY_LOCAL_MACHINE, to a Windows made for them.
func TestMain(m *testing.M) {
	if os.Getenv("STEPAWAY_WINE_TEST") == "" {
		fmt.Println("these tests change settings of this computer: run them with `make test`, in a Windows of their own")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testKey = `Software\stepaway-test`

// write sets values of the test's key, numbers and texts.
func write(t *testing.T, values map[string]any) {
	t.Helper()
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, testKey, registry.SET_VALUE|registry.WOW64_64KEY)
	must(t, err)
	defer k.Close()
	for name, v := range values {
		switch v := v.(type) {
		case int:
			must(t, k.SetDWordValue(name, uint32(v)))
		case string:
			must(t, k.SetStringValue(name, v))
		case []byte:
			must(t, k.SetBinaryValue(name, v))
		}
	}
}

func TestWhatChangesDiffers(t *testing.T) {
	dir := t.TempDir()
	p := System(dir)
	p.Keys, p.Logon = map[string]string{"service": testKey}, testKey
	for _, path := range p.Programs {
		must(t, os.WriteFile(path, []byte(path), 0o755))
	}
	write(t, map[string]any{"ImagePath": `"C:\x y\z.exe" service`, "Start": 2, "FailureActions": []byte{1, 2}, "Stepaway": `"C:\tray.exe"`})
	take := func() State { return p.Take(t.Context(), "1.0", "aa") }
	first := take()
	if d := Compare(first, take()); len(d) > 0 {
		t.Fatalf("nothing changed: %v", d)
	}
	for name, want := range map[string]string{"service Start": "2", "service ImagePath": hash([]byte(`"C:\x y\z.exe" service`)), "beside": empty,
		"stepaway-agent.exe": hash([]byte(p.Programs[0]))} {
		if first.Items[name] != want {
			t.Errorf("%s is %q, want %q", name, first.Items[name], want)
		}
	}
	for _, c := range []struct {
		item string
		do   func()
	}{
		{"stepaway-tray.exe", func() { must(t, os.WriteFile(p.Programs[2], []byte("other"), 0o755)) }},
		{"beside", func() { must(t, os.WriteFile(filepath.Join(dir, "version.dll"), nil, 0o644)) }},
		{"service Start", func() { write(t, map[string]any{"Start": 4}) }},
		{"service FailureActions", func() { write(t, map[string]any{"FailureActions": []byte{}}) }},
		{"service ImagePath", func() { write(t, map[string]any{"ImagePath": "C:\\other.exe"}) }},
	} {
		before := take()
		c.do()
		if d := Compare(before, take()); len(d) != 1 || d[0].Name != c.item {
			t.Errorf("%s: %v", c.item, d)
		}
	}
	must(t, os.Remove(p.Programs[0]))
	if d := Compare(first, take()); d[len(d)-2].New != gone && d[0].New != gone {
		t.Errorf("a program is gone: %v", d)
	}
}

func TestRequestsAreHeardAndTaken(t *testing.T) {
	f := Folder(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked, err := f.Requests(ctx)
	must(t, err)
	if _, err := f.take(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing was asked: %v", err)
	}
	for _, want := range []Request{{Name: "a"}, {Name: "b", Approve: "c", By: "d"}} {
		must(t, f.Ask(want))
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("a request was not heard")
		}
		if got, err := f.take(); err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	k := Kept{Approved: State{Version: "1", Items: map[string]string{"x": "y"}}}
	must(t, f.Save(k))
	if got, err := f.Load(); err != nil || got.Approved.Items["x"] != "y" {
		t.Errorf("%v, %v", got, err)
	}
}
