package doctor

// checks are everything that is looked at, in the order in which it is said.
var checks = []check{
	{"service.agent", "`stepaway.service` runs, is enabled, and does not crash", agentService},
	{"service.courier", "`stepaway-courier.service` runs and is enabled", courierService},
	{"link", "the agent answers on its socket, and is of the version of the installed program", linkAnswers},
	{"session.input", "for each session: where its input is read, and why there", sessionInput},
	{"session.locker", "for each desktop session: what would lock it, and how that could be proved", sessionLocker},
	{"desktop.locker", "for each installed desktop: whether its locker is there and root's, and whether its proof is what `lock.proof` asks for", desktopLocker},
	{"desktop.settings", "settings for all users that keep a desktop from locking (dconf, xfconf, KDE); users' own are not read: each lock is proved", desktopSettings},
	{"lock.fallback", "`lock.fallback` is set, there, and only root can change it", fallback},
	{"unlock.password", "for each installed locker: whether its PAM stack opens without a password, or never", unlockPassword},
	{"logon.password", "the same for display managers and the text console", logonPassword},
	{"logon.blank", "accounts without a password that could log on", blankAccounts},
	{"logon.automatic", "automatic logon: a restart would open a desktop to anybody", autoLogon},
	{"logon.faillock", "failed passwords lock out for a while", failLock},
	{"clock", "the wall clock is kept in step, the clock of the hardware agrees and runs in UTC, and nobody set the time; deadlines do not depend on it, records do", clockSane},
	{"files", "owner and mode of every file of [attack-surface.md](attack-surface.md)", filePermissions},
	{"policy", "the policy is taken, is not longer than 15 minutes, has no drawback, and its signers can be read", policyTaken},
	{"collector", "enrolled, certificate valid, collector reached", collectorReached},
	{"spool", "records wait for the collector, none was lost, and there is room", spoolRoom},
	{"sleep", "the agent holds back sleep until sessions are locked; who else holds it back; what logind does by itself", sleepHeld},
	{"kernel", "the kernel has what the agent needs: openat2, pidfd, inotify, a timer that counts sleep", kernelHas},
}
