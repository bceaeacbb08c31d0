package doctor

import (
	"golang.org/x/sys/windows"

	"stepaway/packaging"
)

const (
	suffix         = ".exe" // of a program's file name
	asWho          = "an elevated administrator"
	whyUnreadable  = "see the reason; each session needs a probe, which the service starts"
	restartAgent   = "sc stop " + packaging.AgentService + ", then sc start " + packaging.AgentService
	restartCourier = "sc stop " + packaging.CourierService + ", then sc start " + packaging.CourierService
)

// checks are everything that is looked at, in the order in which it is said.
var checks = []check{
	{"service.agent", "the service `Stepaway` runs, starts with Windows, and is started again when it ends",
		"fail: nothing locks, now or after a restart", agentService},
	{"service.courier", "the service `StepawayCourier`, the same, and its account",
		"fail: records stay in the agent's memory, and are lost with it", courierService},
	{"service.program", "the path of each service's program is quoted, and only administrators can change what is there",
		"fail: a user could have a service run a program of his", servicePrograms},
	{"link", "the agent answers on its pipe, and is of the version of the installed program",
		"fail: it hangs, or the courier is not connected. warn: an upgrade did not restart it, or events were lost", linkAnswers},
	{"session.input", "for each session: where its input is read, and why there",
		"fail: unreadable, so the session is locked in the middle of work", sessionInput},
	{"session.lock", "no policy forbids to lock a workstation (`DisableLockWorkstation`)",
		"fail: LockWorkStation does nothing; sessions are disconnected in its place", lockAllowed},
	{"unlock.password", "a password is asked for after sleep",
		"fail: who opens the lid is in", passwordAfterSleep},
	{"logon.automatic", "automatic logon (`AutoAdminLogon`)",
		"fail: a restart opens a desktop to anybody", autoLogon},
	{"logon.blank", "accounts without a password may log on at the machine alone (`LimitBlankPasswordUse`)",
		"fail: over the network as well", blankPasswords},
	{"clock", "the wall clock is kept in step",
		"warn: records bear a wrong time. No deadline depends on it", clockSane},
	{"files", "owner and permissions of every directory of [attack-surface.md](attack-surface.md)",
		"fail: others can change, or read, what they must not. warn: something is missing", directories},
	{"policy", "the policy is taken, is not longer than 15 minutes, has no drawback, and its signers can be read",
		"fail: another one rules. warn: `policy check` says the same. note: there is none", policyTaken},
	{"collector", "enrolled, certificate valid, collector reached",
		"fail: the certificate has ended. warn: not enrolled, not reached, or the clocks differ", collectorReached},
	{"spool", "records wait for the collector, none was lost, and there is room",
		"fail: records were dropped. warn: three quarters full, or more than 10,000 wait", spoolRoom},
}

// environ is what programs are run with.
func environ() []string {
	root, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return []string{}
	}
	return []string{"SystemRoot=" + root, `PATH=` + root + `\System32`}
}
