package wts

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stepaway/session"
)

// row is what Windows says of one session. A field that could not be read is zero.
type row struct {
	id       uint32
	state    state
	user     string
	userRead bool // user is the system's answer, also when it is empty
	domain   string
	sid      string
	station  string // "Console", "RDP-Tcp#3", or empty while disconnected
	protocol protocol
	times    times
	groups   []string
}

// state is WTS_CONNECTSTATE_CLASS.
type state uint32

const (
	active       state = 0 // a user is before it
	connected    state = 1 // a client is, but no user yet
	connectQuery state = 2
	shadow       state = 3
	disconnected state = 4 // a user is logged on, nobody before it
	idling       state = 5 // waits for a client
	listening    state = 6
	resetting    state = 7
	down         state = 8
	initializing state = 9
)

// protocol is WTSClientProtocolType, one more than Windows says, so that 0 is unknown.
type protocol uint16

const (
	unknownProtocol protocol = 0
	console         protocol = 1
	ica             protocol = 2
	rdp             protocol = 3
)

// times are of WTSINFO, by the wall clock of the machine: 100 ns since 1601, 0 if unknown.
type times struct {
	logon, disconnect, now int64
}

// facts makes sessions out of rows and what it remembers of them.
type facts struct {
	seen map[uint32]*memory
}

// memory is what stays known of a session.
type memory struct {
	sid, user  string
	logon      int64
	since      time.Duration
	kind       session.Kind
	disconnect int64
	left       time.Duration
	groups     []string
}

// sessions makes the sessions of users out of all rows, at boot time now.
func (f *facts) sessions(rows []row, now time.Duration) []session.Session {
	var out []session.Session
	there := map[uint32]*memory{}
	for _, r := range rows {
		if !r.ofUser() {
			continue
		}
		m := f.seen[r.id]
		if m == nil || !m.same(r) {
			m = &memory{}
		}
		there[r.id] = m
		out = append(out, m.session(r, now))
	}
	f.seen = there
	return out
}

// ofUser reports whether somebody is logged on there. Session 0 is the services'. A session whose user cannot be read counts.
func (r row) ofUser() bool {
	switch r.state {
	case listening, down, resetting, initializing, idling:
		return false
	}
	return r.id != 0 && !(r.userRead && r.user == "")
}

// same reports whether a row can be of the session that is remembered: Windows may give a number again.
func (m *memory) same(r row) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return !differ(m.sid, r.sid) && !differ(m.user, r.user) && (m.logon == 0 || r.times.logon == 0 || m.logon == r.times.logon)
}

// session makes one session, and remembers it.
func (m *memory) session(r row, now time.Duration) session.Session {
	m.user, m.sid = or(r.user, m.user), or(r.sid, m.sid)
	if m.logon == 0 && r.times.logon != 0 {
		m.logon, m.since = r.times.logon, r.times.boot(r.times.logon, now)
	}
	if k := r.kind(); k != "" {
		m.kind = k
	}
	if r.groups != nil {
		m.groups = r.groups
	}
	m.leave(r, now)
	s := session.Session{ID: strconv.FormatUint(uint64(r.id), 10), UID: session.NoUID, SID: m.sid, User: m.user, Groups: m.groups, Kind: session.Console,
		Active: r.state == active || r.state == shadow, Since: m.since, Left: m.left}
	if m.kind != "" {
		s.Kind = m.kind
	}
	s.Remote = s.Kind == session.RDP
	return s
}

// leave notes since when nobody can sit before the session. Each disconnection is placed in time once.
func (m *memory) leave(r row, now time.Duration) {
	if r.state != disconnected {
		m.left, m.disconnect = 0, 0
		return
	}
	if m.left != 0 && (r.times.disconnect == 0 || m.disconnect == r.times.disconnect) {
		return
	}
	again := m.left != 0 && m.disconnect != 0
	was := m.left
	m.disconnect = r.times.disconnect
	m.left = now
	if r.times.disconnect != 0 {
		m.left = r.times.boot(r.times.disconnect, now)
	}
	if was != 0 && !again {
		m.left = min(m.left, was)
	}
	m.left = max(m.left, 1)
}

// boot turns a time of the wall clock into time since boot: not in the future, and not before the boot.
func (t times) boot(at int64, now time.Duration) time.Duration {
	if t.now == 0 || at <= 0 || at > t.now {
		return now
	}
	ago := t.now - at
	if ago > int64(now)/100 {
		return 1
	}
	return max(now-time.Duration(ago*100), 1)
}

// kind is how the session reaches its user, "" if Windows does not say. A disconnected one has no station, and its
// protocol says nothing.
func (r row) kind() session.Kind {
	switch {
	case r.protocol == rdp || r.protocol == ica || strings.HasPrefix(strings.ToUpper(r.station), "RDP-"):
		return session.RDP
	case r.state == disconnected && r.station == "":
		return ""
	case r.protocol == console || strings.EqualFold(r.station, "Console"):
		return session.Console
	}
	return ""
}

// plain bounds a name and takes control characters out of it.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 256)], "")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
