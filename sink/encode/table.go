package encode

import "stepaway/audit"

// Code is one code of DICOM's controlled terminology, DCM.
type Code struct{ Value, Meaning string }

// Row says what an event type is in other audit systems. DICOM and FHIR share the codes: FHIR's type is the EventID and
// its subtype the EventTypeCode. Type is empty where DICOM has none for it; Stepaway's own type always goes along as well.
type Row struct {
	Title   string
	Event   Code
	Type    Code
	Outcome int // least EventOutcomeIndicator: 0 success, 4 minor failure, 8 serious, 12 major
}

// Action is EventActionCode and AuditEvent.action of every event: execute.
const Action = "E"

var (
	activity = Code{"110100", "Application Activity"}
	alert    = Code{"110113", "Security Alert"}
	logon    = Code{"110114", "User Authentication"}

	started        = Code{"110120", "Application Start"}
	stopped        = Code{"110121", "Application Stop"}
	login          = Code{"110122", "Login"}
	logout         = Code{"110123", "Logout"}
	nodeAuth       = Code{"110126", "Node Authentication"}
	override       = Code{"110127", "Emergency Override Started"}
	securitySet    = Code{"110129", "Security Configuration"}
	hardwareSet    = Code{"110130", "Hardware Configuration"}
	softwareSet    = Code{"110131", "Software Configuration"}
	restricted     = Code{"110132", "Use of Restricted Function"}
	auditStopped   = Code{"110133", "Audit Recording Stopped"}
	auditStarted   = Code{"110134", "Audit Recording Started"}
	attributes     = Code{"110135", "Object Security Attributes Changed"}
	overrideEnd    = Code{"110138", "Emergency Override Stopped"}
	noOwn          = Code{}
	minor, serious = 4, 8
	major          = 12
)

// rows has every event type.
var rows = map[audit.Type]Row{
	audit.AgentStart:         {"Stepaway started", activity, started, 0},
	audit.AgentStop:          {"Stepaway stopped", activity, stopped, 0},
	audit.AgentRecovered:     {"Stepaway started after it had ended unexpectedly", activity, started, minor},
	audit.SessionStart:       {"User logged on", logon, login, 0},
	audit.SessionEnd:         {"User logged off", logon, logout, 0},
	audit.SessionSwitch:      {"Another session is in front", activity, noOwn, 0},
	audit.WarningShown:       {"Warned of automatic logoff", activity, noOwn, 0},
	audit.WarningCleared:     {"Warning of automatic logoff cleared by input", activity, noOwn, 0},
	audit.LockRequested:      {"Automatic logoff: lock asked for", activity, noOwn, 0},
	audit.LockProved:         {"Automatic logoff: desktop locked", logon, logout, 0},
	audit.LockFailed:         {"Automatic logoff failed: desktop not proved locked", logon, logout, serious},
	audit.LockEscalated:      {"Automatic logoff: next means taken", activity, noOwn, 0},
	audit.UnlockSeen:         {"User came back", logon, login, 0},
	audit.SignoutRequested:   {"Sign-out asked for", activity, noOwn, 0},
	audit.SignoutDone:        {"User signed out automatically", logon, logout, 0},
	audit.ClientClose:        {"Clinical program asked to close", activity, noOwn, 0},
	audit.ClientClosed:       {"Clinical program closed", activity, stopped, 0},
	audit.ClientEnded:        {"Clinical program ended by force", activity, stopped, 0},
	audit.ClientCleared:      {"Clinical program's leavings cleared", activity, noOwn, 0},
	audit.ClientFailed:       {"Clinical program not closed", activity, noOwn, serious},
	audit.PolicyLoaded:       {"Policy in force", alert, securitySet, 0},
	audit.PolicyRejected:     {"Policy refused", alert, securitySet, minor},
	audit.PolicyRelaxed:      {"Policy made weaker", alert, securitySet, 0},
	audit.PolicyApproved:     {"Weaker policy approved", alert, securitySet, 0},
	audit.TrayLost:           {"Indicator of a session lost", activity, noOwn, minor},
	audit.TrayRestored:       {"Indicator of a session back", activity, noOwn, 0},
	audit.TrayImpostor:       {"Impostor of a session's indicator refused", alert, nodeAuth, serious},
	audit.InputInjected:      {"Input made by a program", alert, restricted, 0},
	audit.InputPeriodic:      {"Input too regular for a person", alert, restricted, 0},
	audit.InputUnreadable:    {"Input cannot be read", alert, hardwareSet, serious},
	audit.DeviceNew:          {"Input device added", alert, hardwareSet, 0},
	audit.PresenceExtended:   {"Limit put off: person present", activity, noOwn, 0},
	audit.PresenceLeft:       {"Person left", activity, noOwn, 0},
	audit.ProcedureStarted:   {"Procedure mode started", alert, override, 0},
	audit.ProcedureEnded:     {"Procedure mode ended", alert, overrideEnd, 0},
	audit.ClockJump:          {"Clock changed", alert, noOwn, 0},
	audit.PowerSuspend:       {"Workstation going to sleep", activity, noOwn, 0},
	audit.PowerResume:        {"Workstation awake", activity, noOwn, 0},
	audit.SpoolGap:           {"Audit events lost", alert, auditStopped, serious},
	audit.SpoolFull:          {"Audit events dropped for want of room", alert, auditStopped, serious},
	audit.SpoolFailed:        {"Audit events could not be stored for a while", alert, auditStarted, minor},
	audit.SpoolQuarantined:   {"Damaged audit spool set aside", alert, auditStopped, serious},
	audit.SpoolRollback:      {"Audit spool begun anew", alert, auditStarted, minor},
	audit.CollectorDown:      {"Collector out of reach", activity, noOwn, minor},
	audit.CollectorUp:        {"Collector in reach", activity, noOwn, 0},
	audit.CertificateRenewed: {"Certificate renewed", alert, nodeAuth, 0},
	audit.CertificateIssued:  {"Certificate issued", alert, nodeAuth, 0},
	audit.CertificateRevoked: {"Certificate revoked", alert, nodeAuth, 0},
	audit.IdentityShared:     {"One device's identity used in two places", alert, nodeAuth, serious},
	audit.EventsLost:         {"Acknowledged audit events lost by the collector", alert, auditStopped, serious},
	audit.EventsRemoved:      {"Audit events removed at the end of their retention", activity, noOwn, 0},
	audit.CommandAccepted:    {"Command of the collector carried out", alert, restricted, 0},
	audit.CommandRefused:     {"Command of the collector refused", alert, restricted, serious},
	audit.TamperSeen:         {"Tampering seen", alert, attributes, major},
	audit.StateRecorded:      {"Installation recorded", alert, softwareSet, 0},
	audit.StateDrifted:       {"Installation differs from the approved one", alert, softwareSet, minor},
	audit.StateApproved:      {"Installation approved", alert, softwareSet, 0},
}

// RowOf answers the row of a type. An unknown one is a security alert, never nothing.
func RowOf(t audit.Type) Row {
	if r, ok := rows[t]; ok {
		return r
	}
	return Row{"Event of an unknown type", alert, noOwn, minor}
}

// outcome is EventOutcomeIndicator and AuditEvent.outcome.
func (e Entry) outcome() int {
	o := RowOf(e.Type).Outcome
	if e.Outcome == audit.Failure {
		o = max(o, minor)
	}
	return o
}

// SyslogSeverity is the severity of RFC 5424: informational, warning or alert.
func SyslogSeverity(s audit.Severity) int {
	switch s {
	case audit.Info:
		return 6
	case audit.Warning:
		return 4
	}
	return 1
}

// OTLPSeverity is SeverityNumber and SeverityText of OTLP.
func OTLPSeverity(s audit.Severity) (int, string) {
	switch s {
	case audit.Info:
		return 9, "INFO"
	case audit.Warning:
		return 13, "WARN"
	}
	return 17, "ERROR"
}
