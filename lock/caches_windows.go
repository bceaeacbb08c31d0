package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	maxEntries = 1 << 20 // looked at in one cache
	maxDepth   = 64      // of directories in a cache
	maxPasses  = 4       // through one directory
	nameBatch  = 256
)

// sweep deletes with the rights of the user, whoever this process is: what he could not delete is left.
func (c *closing) sweep(ctx context.Context) (out swept) {
	home, err := profileOf(c.s.SID)
	all := func() { out, err = c.sweepHome(ctx, home) }
	switch {
	case err != nil:
	case c.o.Root:
		token, tokenErr := c.userToken(c.s)
		if err = tokenErr; err != nil {
			break
		}
		defer token.Close()
		if asErr := asUser(token, all); asErr != nil {
			err = asErr
		}
	default:
		all()
	}
	if err != nil {
		c.o.Log.Error("lock: no cache was cleared", "client", c.c.Name, "session", c.s.ID, "err", err)
		return swept{left: len(c.c.Caches)}
	}
	return out
}

func (c *closing) sweepHome(ctx context.Context, path string) (out swept, err error) {
	home, err := os.OpenRoot(path)
	if err != nil {
		return out, fmt.Errorf("open a profile: %w", err)
	}
	defer home.Close()
	for _, cache := range c.c.Caches {
		s := sweeper{ctx: ctx}
		if err := s.cache(home, cache); err != nil {
			c.o.Log.Warn("lock: a cache was not cleared", "client", c.c.Name, "cache", cache, "err", err)
		}
		out.cleared += s.cleared
		out.left += s.left
	}
	return out, nil
}

// sweeper empties one directory. It enters nothing that is reached by a link, and works from directories that it holds, so
// that an exchange of a directory for a link leads nowhere. No name of what it finds leaves it.
type sweeper struct {
	ctx                 context.Context
	seen, cleared, left int
}

var errLink = errors.New("it is not a directory, or reached by a link")

// cache empties a directory below the home directory. One that is not there is empty.
func (s *sweeper) cache(home *os.Root, path string) error {
	at := home
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "/", `\`), `\`) {
		next, err := enter(at, name)
		if at != home {
			at.Close()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			s.left = 1
			return err
		}
		at = next
	}
	defer at.Close()
	s.left = s.empty(at, 1)
	return nil
}

// enter opens a directory in another, and nothing else that has its name. What is opened is compared with what was looked
// at, as a link within the same directory would be followed.
func enter(at *os.Root, name string) (*os.Root, error) {
	seen, err := at.Lstat(name)
	if err != nil {
		return nil, err
	}
	if seen.Mode().Type() != fs.ModeDir { // a junction is fs.ModeIrregular too
		return nil, errLink
	}
	next, err := at.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	got, err := next.Stat(".")
	if err != nil || !os.SameFile(seen, got) {
		next.Close()
		return nil, errors.Join(errLink, err)
	}
	return next, nil
}

// over reports whether enough has been done.
func (s *sweeper) over() bool { return s.seen >= maxEntries || s.ctx.Err() != nil }

// empty deletes what is in a directory and returns how many entries are left.
func (s *sweeper) empty(at *os.Root, depth int) (left int) {
	for range maxPasses {
		before := s.cleared
		left = s.pass(at, depth)
		if left == 0 || s.cleared == before || s.over() {
			break
		}
	}
	return left
}

// pass goes through a directory once.
func (s *sweeper) pass(at *os.Root, depth int) (left int) {
	dir, err := at.Open(".")
	if err != nil {
		return 1
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(nameBatch)
		for _, name := range names {
			if s.over() {
				return left + 1
			}
			left += s.remove(at, name, depth)
		}
		if err == io.EOF {
			return left
		}
		if err != nil {
			return left + 1
		}
	}
}

// remove deletes an entry of a directory and returns how many entries are left of it. Of a link only the link is deleted.
func (s *sweeper) remove(at *os.Root, name string, depth int) (left int) {
	s.seen++
	next, err := enter(at, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0
	case err == nil:
		if depth >= maxDepth {
			next.Close()
			return 1
		}
		left = s.empty(next, depth+1)
		next.Close()
		if left > 0 {
			return left
		}
	case !errors.Is(err, errLink):
		return 1
	}
	return s.gone(at.Remove(name))
}

func (s *sweeper) gone(err error) (left int) {
	switch {
	case err == nil:
		s.cleared++
		return 0
	case errors.Is(err, fs.ErrNotExist):
		return 0
	}
	return 1
}
