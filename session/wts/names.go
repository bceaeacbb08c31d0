package wts

import (
	"strings"
	"sync"
	"time"
)

const (
	namesSoon  = 300 * time.Millisecond // how long a snapshot waits for names
	namesAgain = time.Minute            // after which a name that nobody knew is asked for again
	maxGroups  = 512                    // of one user
)

// group is the name of a group.
type group struct {
	domain, name string
	wellKnown    bool // one of Windows' own, such as INTERACTIVE
}

// names finds the names of groups. The answer may come from a directory server, which takes its time or is away: no
// snapshot waits for long, and until a name is known a group has its number only.
type names struct {
	lookUp  func(sid string) (group, error)
	changed func()

	mu     sync.Mutex
	known  map[string]group
	failed map[string]time.Time
	asking chan struct{} // closed when the names under way are asked for; nil while none are
}

func newNames(lookUp func(string) (group, error), changed func()) *names {
	return &names{lookUp: lookUp, changed: changed, known: map[string]group{}, failed: map[string]time.Time{}}
}

// of returns how a policy may call the groups with these numbers: by number, by domain and name, and, where the domain is the
// user's own, this machine or Windows, by name alone. A group of a domain that is only trusted must be called in full.
func (n *names) of(sids []string, domains ...string) []string {
	sids = sids[:min(len(sids), maxGroups)]
	n.find(sids)
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]string, 0, 2*len(sids))
	for _, sid := range sids {
		out = append(out, sid)
		g, known := n.known[sid]
		if !known || g.wellKnown || g.name == "" {
			continue
		}
		out = append(out, g.domain+`\`+g.name)
		for _, d := range append(domains, "BUILTIN") {
			if strings.EqualFold(g.domain, d) {
				out = append(out, g.name)
				break
			}
		}
	}
	return out
}

// find has the names asked for that are not known, and waits for them a moment.
func (n *names) find(sids []string) {
	n.mu.Lock()
	var missing []string
	for _, sid := range sids {
		if _, known := n.known[sid]; !known && time.Since(n.failed[sid]) > namesAgain {
			missing = append(missing, sid)
		}
	}
	if len(missing) > 0 && n.asking == nil {
		n.asking = make(chan struct{})
		go n.ask(missing, n.asking)
	}
	asking := n.asking
	n.mu.Unlock()
	if asking == nil || len(missing) == 0 {
		return
	}
	t := time.NewTimer(namesSoon)
	defer t.Stop()
	select {
	case <-asking:
	case <-t.C:
	}
}

// ask asks for names one by one, and tells that there is news.
func (n *names) ask(sids []string, done chan struct{}) {
	began := time.Now()
	for _, sid := range sids {
		g, err := n.lookUp(sid)
		n.mu.Lock()
		if err != nil {
			n.failed[sid] = time.Now()
		} else {
			n.known[sid] = g
		}
		n.mu.Unlock()
	}
	n.mu.Lock()
	n.asking = nil
	n.mu.Unlock()
	close(done)
	if time.Since(began) > namesSoon {
		n.changed()
	}
}
