package logind

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"stepaway/proc"
	"stepaway/session"
)

// facts makes sessions out of logind's properties and of what it remembers of them.
type facts struct {
	groups  *groups
	changed func()

	mu   sync.Mutex
	seen map[string]*memory // by session id
}

// memory is what stays known of a session.
type memory struct {
	graphical session.Kind // the kind it once had, if that was graphical
	scope     string
	since     time.Duration
	display   string    // the first that was known: the user can change what logind says
	looked    time.Time // when processes were last searched for a display
	searching bool
	path      dbus.ObjectPath
	unlocked  time.Duration    // when logind last told it to unlock
	last      *session.Session // as it was last told, nil if it was not
}

// searchAgain is how often the processes of a session are searched for its display while it is not known.
const searchAgain = 5 * time.Second

// searchSoon is how long a snapshot waits for that.
const searchSoon = 300 * time.Millisecond

func newFacts(ctx context.Context, changed func()) *facts {
	return &facts{groups: newGroups(ctx, changed), changed: changed, seen: map[string]*memory{}}
}

func (f *facts) wait() { f.groups.wait() }

// session makes one session; false if nobody sits there: it is a greeter, a screen that is locked, a service. What was told
// once is told on, and as it was where its properties cannot be read.
func (f *facts) session(row listed, p properties) (session.Session, bool) {
	if p == nil {
		if s := f.last(row.ID); s != nil {
			return *s, true
		}
	}
	s := session.Session{
		ID: row.ID, UID: row.UID, User: plain(row.User), Seat: plain(row.Seat),
		Kind: kind(p), Remote: p.flag("Remote"), VT: uint(p.number("VTNr")),
		Active:  p == nil || p.flag("Active"),
		Closing: p.text("State") == "closing",
		Display: display(p.text("Display")), TTY: tty(p.text("TTY")),
		Leader: int(p.number("Leader")), LockedHint: p.flag("LockedHint"),
	}
	if s.Seat == "" {
		s.Active = true
	}
	if class := p.text("Class"); p != nil && !strings.HasPrefix(class, "user") && !inTheBackground(class, s) && f.last(row.ID) == nil {
		return session.Session{}, false
	}
	f.remember(&s, p.text("Scope"), row.Path)
	s.Groups = f.groups.of(s)
	f.keep(s)
	return s, true
}

// inTheBackground reports whether a session is of the class that cron's have, but has a desktop or a terminal: the class
// comes from the environment of the logon, into which a user may write on many systems.
func inTheBackground(class string, s session.Session) bool {
	return strings.HasPrefix(class, "background") && s.Attended()
}

func (f *facts) last(id string) *session.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.seen[id]; m != nil {
		return m.last
	}
	return nil
}

func (f *facts) keep(s session.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.seen[s.ID]; m != nil { // another snapshot may have seen its end
		m.last = &s
	}
}

// remember fills in what does not change, or must not.
func (f *facts) remember(s *session.Session, unit string, path dbus.ObjectPath) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.seen[s.ID]
	if m == nil {
		m = &memory{}
		f.seen[s.ID] = m
	}
	if s.Kind.Graphical() {
		m.graphical = s.Kind
	} else if m.graphical != "" {
		s.Kind = m.graphical
	}
	if m.scope == "" || m.since == 0 {
		m.scope, m.since = scope(*s, unit)
	}
	m.path = path
	s.Scope, s.Since, s.Unlocked = m.scope, m.since, m.unlocked
	f.findDisplay(m, s)
	if s.Kind == session.Unknown && s.Display != "" {
		s.Kind = session.X11
	}
}

// unlocked notes that logind told a session to unlock.
func (f *facts) unlocked(path dbus.ObjectPath, at time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.seen {
		if m.path == path {
			m.unlocked = at
		}
	}
}

// forget drops what is remembered of sessions that are gone: their names are not used again.
func (f *facts) forget(list []session.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	there := make(map[string]bool, len(list))
	for _, s := range list {
		there[s.ID] = true
	}
	for id := range f.seen {
		if !there[id] {
			delete(f.seen, id)
		}
	}
}

// kind is how the session reaches its user. Type is the user's to change; what root set at logon comes first.
func kind(p properties) session.Kind {
	typ, service := p.text("Type"), p.text("Service")
	switch {
	case service == "sshd" || service == "ssh":
		return session.SSH
	case typ == "x11":
		return session.X11
	case typ == "wayland" || typ == "mir":
		return session.Wayland
	case typ == "tty" && p.flag("Remote"):
		return session.SSH
	case typ == "tty" && p.text("TTY") != "":
		return session.TTY
	}
	return session.Unknown
}

// scope returns the control group of a session and when its leader was started. The leader's own word is better than a
// path put together, which is for a leader that has ended.
func scope(s session.Session, unit string) (string, time.Duration) {
	if unit == "" || strings.Contains(unit, "/") {
		return "", 0
	}
	made := "/user.slice/user-" + strconv.FormatUint(uint64(s.UID), 10) + ".slice/" + unit
	if s.Leader <= 1 {
		return made, 0
	}
	p, err := proc.Read(s.Leader)
	if err != nil {
		return made, 0
	}
	if at := strings.Index(p.Group+"/", "/"+unit+"/"); at >= 0 {
		return p.Group[:at+1+len(unit)], p.Start
	}
	return made, p.Start
}

// findDisplay searches the session's own processes for a display where logind was not told: an X server that a script
// started, xrdp. A user who puts another there points at a display that he must be able to open anyway. The search reads
// the memory of his processes, which can hang: what it does not find soon comes with a later snapshot.
func (f *facts) findDisplay(m *memory, s *session.Session) {
	if m.display == "" {
		m.display = s.Display
	}
	search := s.Scope != "" && (s.Kind == session.X11 || s.Kind == session.Unknown)
	if m.display == "" && search && !m.searching && time.Since(m.looked) > searchAgain {
		f.search(m, s.Scope, s.UID)
	}
	s.Display = m.display
}

// search waits for what it finds, but not long. f.mu is held.
func (f *facts) search(m *memory, scope string, uid uint32) {
	m.searching = true
	soon, late := make(chan string), make(chan struct{})
	f.groups.work.Go(func() {
		display := searchDisplay(scope, uid)
		select {
		case soon <- display:
		case <-late:
			f.mu.Lock()
			defer f.mu.Unlock()
			m.found(display)
			f.changed()
		}
	})
	select {
	case display := <-soon:
		m.found(display)
	case <-time.After(searchSoon):
		close(late)
	}
}

func (m *memory) found(display string) {
	m.searching, m.looked = false, time.Now()
	if m.display == "" {
		m.display = display
	}
}

// maxSearched bounds how many processes are searched: their number is the user's choice.
const maxSearched = 512

func searchDisplay(scope string, uid uint32) string {
	pids, _ := proc.InGroup(scope)
	for _, pid := range pids[:min(len(pids), maxSearched)] {
		p, err := proc.Read(pid)
		if err != nil || p.UID != uid {
			continue
		}
		if d := display(proc.Env(pid, "DISPLAY")); d != "" {
			return d
		}
	}
	return ""
}

var (
	localDisplay = regexp.MustCompile(`^:[0-9]{1,5}(\.[0-9]{1,3})?$`)
	ttyName      = regexp.MustCompile(`^(tty[A-Za-z0-9]{0,8}|pts/[0-9]{1,8}|console|hvc[0-9]{1,3})$`)
)

// display lets through only what names a display of this machine.
func display(s string) string {
	if localDisplay.MatchString(s) {
		return s
	}
	return ""
}

// tty lets through only the name of a terminal, without "/dev/".
func tty(s string) string {
	if s = strings.TrimPrefix(s, "/dev/"); ttyName.MatchString(s) {
		return s
	}
	return ""
}

// plain bounds a name and takes control characters out of it.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 256)], "")
}
