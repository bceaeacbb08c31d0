package packaging

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Directory is one that an installation on Windows makes, and who may what in it.
type Directory struct {
	Path string // below %ProgramData%\Stepaway, "" for that itself
	SDDL string // of the directory; what is made in it inherits. Owner and group too, for a directory that somebody else made before
}

// Parts of SDDL: the system and administrators may everything, others read, the courier writes what is its own.
const (
	owned     = "O:SYG:SY"
	closed    = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	usersRead = "(A;OICI;0x1200a9;;;BU)"
)

// Directories are the directories of an installation, those above first.
func Directories() []Directory {
	courier := ServiceSID(CourierService)
	return []Directory{
		{"", owned + closed + usersRead},
		{"policy.d", owned + closed + usersRead},
		{"approvals", owned + closed + usersRead},
		{"agent", owned + closed},
		{"courier", owned + closed + "(A;OICI;0x1301bf;;;" + courier + ")"},
		{"run", owned + closed},
		{`run\policy`, owned + closed + usersRead},
		{`run\metrics`, owned + closed + usersRead},
	}
}

// What an installation was told when it was made: values of SetupKey below HKEY_LOCAL_MACHINE, in the 64-bit view. An empty
// one was not told. Policy is above what is told here.
const (
	SetupKey       = `Software\Stepaway`
	SetupCollector = "CollectorURL" // where to enrol, and to deliver while no policy names another
	SetupSite      = "Site"         // both stand in every event
	SetupUnit      = "Unit"

	// EnrolKey holds the one-time token until the courier has used it. Only EnrolSDDL's accounts may read it.
	EnrolKey   = SetupKey + `\Enrolment`
	EnrolToken = "Token"
)

// EnrolSDDL is of EnrolKey: the courier may read the token and take it away.
func EnrolSDDL() string {
	return owned + "D:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;0x2001b;;;" + ServiceSID(CourierService) + ")" // KEY_READ, KEY_SET_VALUE
}

// LeaveVerb is the courier's, for the end of an installation: it removes what was gathered, but for records that are not known to
// be at a collector.
const LeaveVerb = "leave"

// EndVerb is the agent's: it ends what still runs of this installation, before the programs are replaced or removed.
const EndVerb = "end-programs"

// ServiceSID is the account of a service in text, NT SERVICE\name: the hash of its name, as "Service SIDs" are made.
func ServiceSID(name string) string {
	h := sha1.New()
	_ = binary.Write(h, binary.LittleEndian, utf16.Encode([]rune(strings.ToUpper(name)))) // a hash takes everything
	sid, sum := "S-1-5-80", h.Sum(nil)
	for ; len(sum) > 0; sum = sum[4:] {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sum))
	}
	return sid
}
