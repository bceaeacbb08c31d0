package lock

import (
	"strconv"

	"stepaway/proc"
	"stepaway/session"
)

// maxMembers bounds how many processes of a session are looked at: their number is the user's choice, within the limit
// that systemd sets on each user.
const maxMembers = 1 << 15

// members returns the processes that may belong to a session: those in its control group and, for a desktop, those that the
// user's own service manager started for it. Where groups are not known, every process; the caller compares users.
func members(s session.Session) []int {
	if s.Scope == "" {
		pids, _ := proc.All()
		return bounded(pids)
	}
	pids, err := proc.InGroup(s.Scope)
	if err != nil {
		pids, _ = proc.All()
		return bounded(pids)
	}
	if s.Kind.Graphical() {
		slice := "/user.slice/user-" + strconv.FormatUint(uint64(s.UID), 10) + ".slice/"
		for _, unit := range []string{"user@" + strconv.FormatUint(uint64(s.UID), 10) + ".service", unitName(lockerUnit, s)} {
			more, _ := proc.InGroup(slice + unit)
			pids = append(pids, more...)
		}
	}
	return bounded(pids)
}

func bounded(pids []int) []int { return pids[:min(len(pids), maxMembers)] }
