package logind

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"stepaway/durable"

	"golang.org/x/sys/unix"
)

const (
	keptFor     = 90 * 24 * time.Hour // a group that nobody confirmed for so long is forgotten
	confirmed   = 24 * time.Hour      // how often the file notes that a group is still the user's
	maxKept     = 16384               // groups of all users together
	maxKeptFile = 8 << 20             // bytes
)

// lastKnown are the groups that users had when they were last found, over restarts and reboots: in a file that only its
// owner reads, or in memory alone without a path. The ages count on the wall clock, and a time that is yet to come is now.
type lastKnown struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	loaded bool
	users  map[uint32]lastUser
}

type lastUser struct {
	User   string               `json:"user"`
	Groups map[string]lastGroup `json:"groups"`
}

type lastGroup struct {
	Seen  int64 `json:"seen"`            // wall clock, seconds
	Local bool  `json:"local,omitempty"` // it was in this machine's own files
}

func (g lastGroup) age(now time.Time) time.Duration { return now.Sub(time.Unix(g.Seen, 0)) }

// of returns a user's groups in order, none if the uid is now another user's.
func (l *lastKnown) of(uid uint32, user string, now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load()
	u := l.users[uid]
	if u.User != user {
		return nil
	}
	var names []string
	for name, g := range u.Groups {
		if g.age(now) <= keptFor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// uid finds the account that a user had.
func (l *lastKnown) uid(user string, now time.Time) (uint32, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load()
	best, newest, found := uint32(0), int64(0), false
	for uid, u := range l.users {
		if at := u.newest(); u.User == user && (!found || at > newest) && (lastGroup{Seen: at}).age(now) <= keptFor {
			best, newest, found = uid, at, true
		}
	}
	return best, found
}

// wasLocal tells for a user's groups whether they were in this machine's own files.
func (l *lastKnown) wasLocal(uid uint32) func(group string) bool {
	return func(group string) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.users[uid].Groups[group].Local
	}
}

// keep notes what a look at a user's groups brought: fresh was answered now, the rest of names was known before.
func (l *lastKnown) keep(uid uint32, user string, fresh, names []string, now time.Time) {
	groups := map[string]lastGroup{}
	for _, name := range fresh {
		groups[name] = lastGroup{now.Unix(), localGroup(name)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load()
	was := l.users[uid]
	if was.User != user {
		was = lastUser{}
	}
	changed := false
	for _, name := range names {
		old, had := was.Groups[name]
		if _, again := groups[name]; !again && had {
			groups[name] = old
		}
		changed = changed || !had || groups[name].Seen-old.Seen > int64(confirmed/time.Second) || groups[name].Local != old.Local
	}
	if !changed && len(groups) == len(was.Groups) {
		return
	}
	l.users[uid] = lastUser{user, groups}
	l.trim(now)
	if err := l.save(); err != nil && l.log != nil {
		l.log.Error("groups of users are not kept; after a restart an unreachable directory would mean the default limit", "error", err)
	}
}

// trim forgets what is too old, and the users who were not seen for longest while there are too many. l.mu is held.
func (l *lastKnown) trim(now time.Time) {
	all := 0
	for uid, u := range l.users {
		for name, g := range u.Groups {
			if g.age(now) > keptFor {
				delete(u.Groups, name)
			}
		}
		if all += len(u.Groups); len(u.Groups) == 0 {
			delete(l.users, uid)
		}
	}
	for len(l.users) > maxUsers || all > maxKept {
		oldest, at := uint32(0), int64(1<<62)
		for uid, u := range l.users {
			if n := u.newest(); n < at {
				oldest, at = uid, n
			}
		}
		all -= len(l.users[oldest].Groups)
		delete(l.users, oldest)
	}
}

func (u lastUser) newest() (at int64) {
	for _, g := range u.Groups {
		at = max(at, g.Seen)
	}
	return at
}

// load reads the file once. What cannot be used is as if it were not there. l.mu is held.
func (l *lastKnown) load() {
	if l.loaded {
		return
	}
	l.loaded, l.users = true, map[uint32]lastUser{}
	if l.path == "" {
		return
	}
	users, err := readLastKnown(l.path)
	if err == nil {
		l.users = users
	} else if !errors.Is(err, fs.ErrNotExist) && l.log != nil {
		l.log.Warn("the groups that users had before are not known", "error", err)
	}
}

// readLastKnown takes only a file that nobody else can have written.
func readLastKnown(path string) (map[uint32]lastUser, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o077 != 0 || st.Uid != 0 && st.Uid != uint32(os.Geteuid()) || st.Size > maxKeptFile {
		return nil, fmt.Errorf("read %s: not trusted: owner %d, mode %04o, %d bytes", path, st.Uid, st.Mode&0o7777, st.Size)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeptFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var users map[uint32]lastUser
	if err := json.Unmarshal(b, &users); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if users == nil {
		return nil, fmt.Errorf("read %s: empty", path)
	}
	return users, nil
}

// save replaces the file: after a loss of power it is the old or the new one. l.mu is held.
func (l *lastKnown) save() error {
	if l.path == "" {
		return nil
	}
	b, err := json.Marshal(l.users)
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	return durable.Write(l.path, b, 0o600)
}
