package trusted

import (
	"os"
	"syscall"
)

// Account is whom the secrets of a program in dir may belong to beside root: this program's own account, or where root looks
// at them, the one that has the directory.
func Account(dir string) uint32 {
	me := uint32(os.Geteuid())
	if info, err := os.Stat(dir); err == nil && me == 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return st.Uid
		}
	}
	return me
}
