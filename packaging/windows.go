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
