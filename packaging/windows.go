package packaging

// What an installation on Windows is called and where it is. The programs, `stepaway-agent install` and the MSI take it
// from here, so that they cannot differ.
const (
	AgentService   = "Stepaway"        // the enforcer's service, as LocalSystem
	CourierService = "StepawayCourier" // the courier's, under the virtual account of its own name
	CourierUser    = `NT SERVICE\` + CourierService
	EventSource    = "Stepaway" // in the log Application
	LinkPipe       = `\\.\pipe\stepaway-link`
	ProgramsName   = "Stepaway" // below %ProgramFiles%
	DataName       = "Stepaway" // below %ProgramData%: policy.yaml, policy.d, agent, courier, run

	// ServiceVerb is the first argument of both programs in their service's image path.
	ServiceVerb = "service"
)

// ServiceSDDL lets LocalSystem and administrators do everything with a service, and users ask how it is. SDDL as in
// [MS-DTYP] 2.5.1, rights of services as in the documentation of "Service Security and Access Rights".
const ServiceSDDL = "D:(A;;CCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;CCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)"

// LinkSDDL is of LinkPipe: LocalSystem and administrators do everything, who is logged on and the courier read and write,
// and none of them may make the pipe a second time. Who comes over the network may nothing. It belongs to the
// administrators, which nobody else can make it; peers look at that. Rights of pipes as in the documentation of
// "Named Pipe Security and Access Rights".
func LinkSDDL() string {
	return "O:BAD:P(D;;FA;;;NU)(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x12008b;;;IU)(A;;0x12008b;;;" + ServiceSID(CourierService) + ")"
}
