package words

import "time"

// pair is the title of a warning and what will happen.
type pair struct{ title, what Key }

// warnings by the action of the policy. An action that is not here is told as a lock: the warning must
// never be missing because a word was.
var warnings = map[string]pair{
	"lock":                   {WarnLock, WarnLockWhat},
	"disconnect":             {WarnDisconnect, WarnDisconnectWhat},
	"sign-out":               {WarnSignOut, WarnSignOutWhat},
	"close-clients":          {WarnClose, WarnCloseWhat},
	"close-clients-and-lock": {WarnCloseAndLock, WarnCloseAndLockWhat},
}

// Warning is what a warning says: a title with the time left, and what will happen. WarnHow says how to go on.
// clients are the names of the programs that will be closed, or empty.
func (c Catalogue) Warning(action, clients string, left time.Duration) (title, what string) {
	p, ok := warnings[action]
	if !ok {
		p = warnings["lock"]
	}
	fills := []string{"left", c.Countdown(left), "clients", c.Clients(clients)}
	return c.Text(p.title, fills...), c.Text(p.what, fills...)
}

// Clients is names, or words for them when there are none.
func (c Catalogue) Clients(names string) string {
	if names == "" {
		return c.Text(SomeClients)
	}
	return names
}
