package logind

import (
	"bytes"
	"context"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stepaway/proc"
	"stepaway/session"
)

const (
	getent      = "/usr/bin/getent"
	groupsFresh = 5 * time.Minute // how long an answer is used before it is asked for again
	groupsAgain = 30 * time.Second
	askLimit    = 2 * time.Second // for one run of getent
	maxGroups   = 512
	maxUsers    = 1024 // whose groups are kept
)

// groups finds the groups of users in the background: a directory server may take its time, and no snapshot waits for
// it. The agent is static and has no NSS of its own, so beyond /etc/group it asks getent.
type groups struct {
	ctx     context.Context
	changed func()
	work    sync.WaitGroup

	mu    sync.Mutex
	known map[uint32]*membership
}

type membership struct {
	names  []string
	asked  time.Time
	asking bool
}

func newGroups(ctx context.Context, changed func()) *groups {
	return &groups{ctx: ctx, changed: changed, known: map[uint32]*membership{}}
}

func (g *groups) wait() { g.work.Wait() }

// of returns what is known of the groups of a session's user, and has it looked up when that is old. The first
// answer comes from this machine's own files alone.
func (g *groups) of(s session.Session) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.known[s.UID]
	if m == nil {
		if len(g.known) >= maxUsers {
			clear(g.known)
		}
		m = &membership{names: localGroups(s.User)}
		g.known[s.UID] = m
	}
	if !m.asking && time.Since(m.asked) > groupsFresh && g.ctx.Err() == nil {
		m.asking = true
		g.work.Go(func() { g.ask(s, m) })
	}
	return slices.Clone(m.names)
}

// ask looks a user's groups up and keeps the old ones if that brings none.
func (g *groups) ask(s session.Session, m *membership) {
	names := g.lookUp(s)
	g.mu.Lock()
	defer g.mu.Unlock()
	m.asking, m.asked = false, time.Now()
	if len(names) == 0 {
		m.asked = m.asked.Add(groupsAgain - groupsFresh)
		return
	}
	if !slices.Equal(names, m.names) {
		m.names = names
		g.changed()
	}
}

// lookUp unites what the account has in the directory with what the session's processes were given at logon.
func (g *groups) lookUp(s session.Session) []string {
	ids := append(sessionGroups(s), g.initGroups(s.User)...)
	names := localGroups(s.User)
	for _, id := range ids[:min(len(ids), maxGroups)] {
		if name := g.name(id); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
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

// initGroups asks the name service which groups an account has.
func (g *groups) initGroups(name string) []uint32 {
	if name == "" || strings.HasPrefix(name, "-") {
		return nil
	}
	fields := strings.Fields(g.getent("initgroups", name))
	var ids []uint32
	for _, f := range fields[min(1, len(fields)):] {
		if id, err := strconv.ParseUint(f, 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

func (g *groups) name(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if grp, err := user.LookupGroupId(text); err == nil {
		return grp.Name
	}
	name, _, _ := strings.Cut(g.getent("group", text), ":")
	return plain(strings.TrimSpace(name))
}

// getent runs one lookup with an empty environment; "" when it finds nothing or takes too long.
func (g *groups) getent(database, key string) string {
	ctx, cancel := context.WithTimeout(g.ctx, askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, getent, database, key)
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.WaitDelay = []string{}, "/", &out, askLimit
	if err := cmd.Run(); err != nil {
		return ""
	}
	return out.String()
}
