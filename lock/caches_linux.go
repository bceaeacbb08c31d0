package lock

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sweep finds out where the user's home is.
func (c *closing) sweep(ctx context.Context) swept {
	who, err := accountOf(ctx, c.s.UID)
	var out swept
	if err == nil {
		out, err = c.sweepHome(ctx, who)
	}
	if err != nil {
		c.o.Log.Error("lock: no cache was cleared", "client", c.c.Name, "session", c.s.ID, "err", err)
		return swept{left: len(c.c.Caches)}
	}
	return out
}

// sweepHome deletes with the rights of the user, whoever this process is: what he could not delete is left.
func (c *closing) sweepHome(ctx context.Context, who account) (out swept, err error) {
	home, err := openHome(who)
	if err != nil {
		return out, err
	}
	defer unix.Close(home)
	all := func() {
		for _, cache := range c.c.Caches {
			s := sweeper{ctx: ctx, uid: who.uid}
			if err := s.cache(home, cache); err != nil {
				c.o.Log.Warn("lock: a cache was not cleared", "client", c.c.Name, "cache", cache, "err", err)
			}
			out.cleared += s.cleared
			out.left += s.left
		}
	}
	if !c.o.Root {
		all()
		return out, nil
	}
	return out, asUser(who, all)
}

// openHome takes hold of a home directory, which must be the user's own. The path is the administrator's word, so links in
// it are followed.
func openHome(who account) (int, error) {
	fd, err := unix.Open(who.home, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", who.home, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Uid != who.uid {
		err = fmt.Errorf("%s belongs to uid %d, not to %d", who.home, st.Uid, who.uid)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

const (
	maxEntries = 1 << 20 // looked at in one cache
	maxDepth   = 64      // of directories in a cache
	maxPasses  = 4       // through one directory: some file systems skip entries while others are deleted
	nameBatch  = 256
)

// inside is how every path is opened: nothing above, no link, no other mount.
const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// sweeper empties one directory. It enters and deletes only what belongs to uid, by descriptors of directories that it
// has looked at, so that an exchange of a directory for a link leads nowhere. No name of what it finds leaves it.
type sweeper struct {
	ctx                 context.Context
	uid                 uint32
	dev                 uint64
	seen, cleared, left int
}

var errNotOwn = errors.New("it is not a directory of the user's")

// cache empties a directory below the home directory. One that is not there is empty.
func (s *sweeper) cache(home int, path string) error {
	at, err := openDir(home, path, unix.O_PATH)
	if err == unix.ENOENT {
		return nil
	}
	s.left = 1
	if err != nil {
		return err
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return err
	}
	if st.Uid != s.uid {
		return errNotOwn
	}
	s.dev = st.Dev
	s.left = s.empty(at, 1)
	return nil
}

func openDir(at int, path string, flags uint64) (int, error) {
	return unix.Openat2(at, path, &unix.OpenHow{Flags: flags | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inside})
}

// over reports whether enough has been done.
func (s *sweeper) over() bool { return s.seen >= maxEntries || s.ctx.Err() != nil }

// remove deletes an entry of a directory and returns how many entries are left of it.
func (s *sweeper) remove(dir int, name string, depth int) (left int) {
	s.seen++
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		return 0
	case err != nil || st.Uid != s.uid:
		return 1
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return s.removeDir(dir, name, depth)
	}
	return s.gone(unix.Unlinkat(dir, name, 0))
}

func (s *sweeper) removeDir(dir int, name string, depth int) (left int) {
	at, err := openDir(dir, name, unix.O_PATH)
	if err == unix.ENOENT {
		return 0
	}
	if err != nil {
		return 1
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil || st.Uid != s.uid || st.Dev != s.dev || depth >= maxDepth {
		return 1
	}
	if left = s.empty(at, depth+1); left > 0 {
		return left
	}
	return s.gone(unix.Unlinkat(dir, name, unix.AT_REMOVEDIR))
}

func (s *sweeper) gone(err error) (left int) {
	switch err {
	case nil:
		s.cleared++
		return 0
	case unix.ENOENT:
		return 0
	}
	return 1
}
