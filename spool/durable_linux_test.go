package spool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stepaway/audit"
)

// small mounts a file system of some kilobytes.
func small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small tmpfs: %v; run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	disk := small(t, "1m")
	dir := filepath.Join(disk, "spool")
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 10)...)
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	n, refused := uint64(11), 0
	for refused < 5 {
		if _, _, err := s.Append(events("a", n, n+19)); err != nil {
			refused++
			continue
		}
		n += 20
		if n > 100_000 {
			t.Fatal("the disk never became full")
		}
	}
	if es := all(t, s); uint64(len(es)) != n-1 {
		t.Fatalf("%d events, %d were stored", len(es), n-1)
	}
	must(t, os.Remove(ballast))
	mustAppend(t, s, events("a", n, n+19)...)
	wantChain(t, s, n+19)
	closeSpool(t, s)
	s, r := open(t, dir, Options{Check: inChild(t)})
	if r.Code != "" {
		t.Errorf("%+v", r)
	}
	wantChain(t, s, n+19)
}

// wantChain wants exactly the events 1 to n of run a.
func wantChain(t *testing.T, s *Spool, n uint64) {
	t.Helper()
	es := all(t, s)
	if uint64(len(es)) != n {
		t.Fatalf("%d events, want %d", len(es), n)
	}
	for i, e := range es {
		if e.N != uint64(i+1) || e.Type != audit.LockProved {
			t.Fatalf("event %d is %s %d", i+1, e.Type, e.N)
		}
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if err := f.Truncate(max(0, size(t, path)-16<<10)); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

// TestFullDiskAtOpen opens on a disk without a byte left, and again when there is room.
func TestFullDiskAtOpen(t *testing.T) {
	disk := small(t, "512k")
	ballast := filepath.Join(disk, "ballast")
	write(t, ballast, make([]byte, 512<<10-8<<10), 0o600)
	dir := filepath.Join(disk, "spool")
	if s, _, err := Open(dir, Options{}); err == nil {
		s.Close()
		t.Fatal("opened without a byte of room")
	}
	must(t, os.Remove(ballast))
	s, _ := open(t, dir, Options{Check: inChild(t)})
	mustAppend(t, s, events("a", 1, 3)...)
}

func TestReadOnlyDisk(t *testing.T) {
	disk := small(t, "4m")
	dir := filepath.Join(disk, "spool")
	s, _ := open(t, dir, Options{})
	mustAppend(t, s, events("a", 1, 10)...)
	closeSpool(t, s)
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if s, _, err := Open(dir, Options{}); err == nil {
		s.Close()
		t.Error("opened on a read-only disk")
	}
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT, ""))
	s, r := open(t, dir, Options{})
	if r.Code != "" {
		t.Errorf("%+v", r)
	}
	wantChain(t, s, 10)
}

// TestWritesCutShort lets writes fail in the middle of a page, in a child: every stored event stays.
func TestWritesCutShort(t *testing.T) {
	out, err := exec.Command(self(t), asLimited, t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// writeLimited is that child: its files may not grow beyond a size that is no whole page.
func writeLimited(dir string) error {
	s, _, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	var was unix.Rlimit
	limit := func(bytes uint64) error {
		return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: was.Max})
	}
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_FSIZE, &was), limit(256<<10+1234)); err != nil {
		return err
	}
	n, refused := uint64(1), 0
	for refused < 3 && n < 10_000 {
		if _, _, err := s.Append(events("a", n, n+19)); err != nil {
			refused++
			continue
		}
		n += 20
	}
	if err := limit(was.Cur); err != nil || refused == 0 {
		return fmt.Errorf("%d refused, %v", refused, err)
	}
	if _, _, err := s.Append(events("a", n, n+19)); err != nil {
		return err
	}
	rs, err := s.Next(0, 20_000, 1<<30)
	if err != nil || uint64(len(rs)) != n+19 {
		return fmt.Errorf("%d events, want %d: %v", len(rs), n+19, err)
	}
	return nil
}
