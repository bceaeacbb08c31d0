package logind

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"time"

	"stepaway/proc"
	"stepaway/session"
)

const (
	groupsFresh = 5 * time.Minute // how long an answer is used before it is asked for again
	groupsAgain = 30 * time.Second
	maxGroups   = 512
	maxUsers    = 1024 // whose groups are kept
)

// groups finds the groups of users in the background: a directory server may take its time, and no snapshot waits for
// it. The agent is static and has no NSS of its own, so beyond /etc/group it asks getent. What was known last stands in
// for what is not answered.
type groups struct {
	ctx     context.Context
	changed func()
	work    sync.WaitGroup
	last    *lastKnown

	mu    sync.Mutex
	known map[uint32]*membership
}

type membership struct {
	user   string
	names  []string
	asked  time.Time
	asking bool
}

func newGroups(ctx context.Context, changed func()) *groups {
	return &groups{ctx: ctx, changed: changed, last: &lastKnown{}, known: map[uint32]*membership{}}
}

func (g *groups) wait() { g.work.Wait() }

// of returns what is known of the groups of a session's user, and has it looked up when that is old. The first
// answer comes from this machine's own files and from what was known last.
func (g *groups) of(s session.Session) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.known[s.UID]
	if m == nil || m.user != s.User {
		if len(g.known) >= maxUsers {
			clear(g.known)
		}
		m = &membership{user: s.User, names: union(localGroups(s.User), g.last.of(s.UID, s.User, time.Now()))}
		g.known[s.UID] = m
	}
	if !m.asking && time.Since(m.asked) > groupsFresh && g.ctx.Err() == nil {
		m.asking = true
		g.work.Go(func() { g.ask(s, m) })
	}
	return slices.Clone(m.names)
}

// ask looks a user's groups up. What was known last and is not answered stays.
func (g *groups) ask(s session.Session, m *membership) {
	now := time.Now()
	before := g.last.of(s.UID, s.User, now)
	ctx, cancel := context.WithTimeout(g.ctx, askInAll)
	defer cancel()
	d := &directory{ctx: ctx}
	fresh, answered := d.lookUp(s.UID, s.User, sessionGroups(s))
	names := union(fresh, d.unanswered(s.User, before, fresh, answered, g.last.wasLocal(s.UID)))
	if g.ctx.Err() == nil {
		g.last.keep(s.UID, s.User, fresh, names, now)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m.asking, m.asked = false, time.Now()
	if !answered {
		m.asked = m.asked.Add(groupsAgain - groupsFresh)
	}
	if !slices.Equal(names, m.names) {
		m.names = names
		g.changed()
	}
}

// union appends to a what only b has.
func union(a, b []string) []string {
	for _, name := range b {
		if !slices.Contains(a, name) && len(a) < maxGroups {
			a = append(a, name)
		}
	}
	return a
}

// localGroups reads /etc/passwd and /etc/group, primary group first.
func localGroups(name string) []string {
	u, err := user.Lookup(name)
	if err != nil {
		return nil
	}
	ids, _ := u.GroupIds()
	var names []string
	for _, id := range append([]string{u.Gid}, ids...) {
		if grp, err := user.LookupGroupId(id); err == nil && !slices.Contains(names, grp.Name) {
			names = append(names, grp.Name)
		}
	}
	return names
}

// sessionGroups returns the group ids of the first of the session's processes that runs as its user.
func sessionGroups(s session.Session) []uint32 {
	pids, _ := proc.InGroup(s.Scope)
	for _, pid := range pids[:min(len(pids), maxSearched)] {
		p, err := proc.Read(pid)
		if err != nil || p.UID != s.UID {
			continue
		}
		if ids, err := proc.GroupIDs(pid); err == nil {
			return ids
		}
	}
	return nil
}

// ErrUnknownUser is the error of a user whom neither the name service knows nor anything that is kept.
var ErrUnknownUser = errors.New("no such user")

// GroupsOf asks at once for the groups of a user, as the agent would for a session of his that has no process yet. The
// source says where they come from: "name service", "last known", or both. An error names what was asked in vain.
func (o Options) GroupsOf(ctx context.Context, name string) (names []string, source string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askInAll)
	defer cancel()
	last, now := &lastKnown{path: o.Groups}, time.Now()
	d := &directory{ctx: ctx}
	a, r := d.account(name)
	if r != found {
		uid, known := last.uid(name, now)
		switch {
		case known:
			return last.of(uid, name, now), "last known", nil
		case r == missing:
			return nil, "", fmt.Errorf("groups of %s: %w", strconv.Quote(name), ErrUnknownUser)
		}
		return nil, "", fmt.Errorf("groups of %s: the name service does not answer", strconv.Quote(name))
	}
	fresh, answered := d.lookUp(a.uid, name, nil)
	kept := d.unanswered(name, last.of(a.uid, name, now), fresh, answered, last.wasLocal(a.uid))
	if len(kept) > 0 {
		return union(fresh, kept), "name service, last known", nil
	}
	return fresh, "name service", nil
}

// GroupsOf is that of Options without anything kept.
func GroupsOf(ctx context.Context, name string) (names []string, source string, err error) {
	return Options{}.GroupsOf(ctx, name)
}
