package durable

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestReplacesWhatIsRead: Windows replaces no file that is open; who reads for a moment does not keep it from being written.
func TestReplacesWhatIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".2"); err == nil {
		t.Fatal("a file that is open was renamed: this test shows nothing")
	}
	time.AfterFunc(100*time.Millisecond, func() { f.Close() })
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
}
