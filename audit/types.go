package audit

import (
	"maps"
	"slices"
)

// The event types. A released type never changes its meaning.
const (
	AgentStart         Type = "agent.start"
	AgentStop          Type = "agent.stop"
	AgentRecovered     Type = "agent.recovered" // the run before ended without agent.stop
	SessionStart       Type = "session.start"
	SessionEnd         Type = "session.end"
	SessionSwitch      Type = "session.switch"
	WarningShown       Type = "warning.shown"
	WarningCleared     Type = "warning.cleared"
	LockRequested      Type = "lock.requested"
	LockProved         Type = "lock.proved"
	LockFailed         Type = "lock.failed"
	LockEscalated      Type = "lock.escalated"
	UnlockSeen         Type = "unlock.seen"
	SignoutRequested   Type = "signout.requested"
	SignoutDone        Type = "signout.done"
	ClientClose        Type = "client.close"
	ClientClosed       Type = "client.closed"
	ClientEnded        Type = "client.ended"
	ClientCleared      Type = "client.cleared" // caches or the clipboard, after a client was closed
	ClientFailed       Type = "client.failed"
	PolicyLoaded       Type = "policy.loaded"
	PolicyRejected     Type = "policy.rejected"
	PolicyRelaxed      Type = "policy.relaxed"
	PolicyApproved     Type = "policy.approved"
	TrayLost           Type = "tray.lost"
	TrayRestored       Type = "tray.restored"
	TrayImpostor       Type = "tray.impostor"
	InputInjected      Type = "input.injected"
	InputPeriodic      Type = "input.periodic"
	InputUnreadable    Type = "input.unreadable"
	DeviceNew          Type = "device.new"
	PresenceExtended   Type = "presence.extended"
	PresenceLeft       Type = "presence.left"
	ProcedureStarted   Type = "procedure.started"
	ProcedureEnded     Type = "procedure.ended"
	ClockJump          Type = "clock.jump"
	PowerSuspend       Type = "power.suspend"
	PowerResume        Type = "power.resume"
	SpoolGap           Type = "spool.gap"
	SpoolFull          Type = "spool.full"
	SpoolFailed        Type = "spool.failed" // and works again: events waited for so long
	SpoolQuarantined   Type = "spool.quarantined"
	SpoolRollback      Type = "spool.rollback"
	CollectorDown      Type = "collector.down"
	CollectorUp        Type = "collector.up"
	CertificateRenewed Type = "certificate.renewed"
	CertificateIssued  Type = "certificate.issued"  // by the collector, to a device that enrolled
	CertificateRevoked Type = "certificate.revoked" // at the collector, by an administrator
	IdentityShared     Type = "identity.shared"     // the collector saw one device in two places
	EventsLost         Type = "events.lost"         // the collector acknowledged them and does not hold them any more
	EventsRemoved      Type = "events.removed"      // by the collector, which kept them as long as it has to
	CommandAccepted    Type = "command.accepted"
	CommandRefused     Type = "command.refused"
	TamperSeen         Type = "tamper.seen"
	StateRecorded      Type = "state.recorded" // what the installation consists of: programs, units, settings in force
	StateDrifted       Type = "state.drifted"  // part of it is not as it was approved
	StateApproved      Type = "state.approved" // an administrator took it as it is
)

// severities holds every type with the severity it is recorded with.
var severities = map[Type]Severity{
	AgentStart: Info, AgentStop: Warning, AgentRecovered: Warning,
	SessionStart: Info, SessionEnd: Info, SessionSwitch: Info,
	WarningShown: Info, WarningCleared: Info,
	LockRequested: Info, LockProved: Info, LockFailed: Alert, LockEscalated: Warning, UnlockSeen: Info,
	SignoutRequested: Warning, SignoutDone: Warning,
	ClientClose: Info, ClientClosed: Info, ClientEnded: Warning, ClientCleared: Info, ClientFailed: Alert,
	PolicyLoaded: Info, PolicyRejected: Alert, PolicyRelaxed: Alert, PolicyApproved: Warning,
	TrayLost: Warning, TrayRestored: Info, TrayImpostor: Alert,
	InputInjected: Warning, InputPeriodic: Warning, InputUnreadable: Alert, DeviceNew: Info,
	PresenceExtended: Info, PresenceLeft: Info, ProcedureStarted: Warning, ProcedureEnded: Warning,
	ClockJump: Warning, PowerSuspend: Info, PowerResume: Info,
	SpoolGap: Alert, SpoolFull: Alert, SpoolFailed: Alert, SpoolQuarantined: Alert, SpoolRollback: Alert,
	CollectorDown: Warning, CollectorUp: Info, CertificateRenewed: Info,
	CertificateIssued: Info, CertificateRevoked: Warning, IdentityShared: Alert,
	EventsLost: Alert, EventsRemoved: Warning,
	CommandAccepted: Warning, CommandRefused: Alert, TamperSeen: Alert,
	StateRecorded: Info, StateDrifted: Alert, StateApproved: Warning,
}

// Types lists every type there is, in order.
func Types() []Type { return slices.Sorted(maps.Keys(severities)) }

// SeverityOf answers the severity a type is recorded with, and whether the type exists.
func SeverityOf(t Type) (Severity, bool) {
	s, ok := severities[t]
	return s, ok
}

// Critical reports whether losing an event of this type would hide what the audit trail exists for.
// Critical events are the last to be dropped when there is no room and are repeated until stored.
func Critical(t Type) bool {
	switch t {
	case WarningShown, WarningCleared, SessionSwitch, DeviceNew, InputPeriodic, TrayRestored, CollectorUp:
		return false
	}
	return true
}
