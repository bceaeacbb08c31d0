package collector

import "syscall"

// openFiles is how many files, connections among them, this process may have open.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > maxConnections+spareFiles {
		return maxConnections + spareFiles
	}
	return int(l.Cur)
}
