package idle

import (
	"os"

	"golang.org/x/sys/unix"
)

// watchDirectory asks the kernel for news of device files. It returns nil where there is no such directory; then it is
// looked at whenever a source is chosen.
func (s *seats) watchDirectory() *os.File {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		s.w.opt.Log.Warn("idle: no news of input devices that come and go", "error", os.NewSyscallError("inotify_init1", err))
		return nil
	}
	f := os.NewFile(uintptr(fd), "inotify")
	const news = unix.IN_CREATE | unix.IN_ATTRIB | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, s.w.opt.InputDir, news); err != nil {
		f.Close()
		return nil
	}
	return f
}

// readDirectory turns news into looks. What the news says is not read: the directory itself is.
func (s *seats) readDirectory(dir *os.File) {
	buf := make([]byte, 16<<10)
	for {
		if _, err := dir.Read(buf); err != nil {
			return
		}
		s.again()
	}
}
