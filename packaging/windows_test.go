package packaging

import (
	"encoding/hex"
	"strings"
	"testing"
)

// As every Windows has it.
func TestServiceSID(t *testing.T) {
	const want = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	if got := ServiceSID("TrustedInstaller"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if ServiceSID("trustedinstaller") != want {
		t.Error("case counts")
	}
}

// Nobody but the system and administrators may write where the agent reads; the courier writes its own alone.
func TestDirectoriesAreClosed(t *testing.T) {
	courier := ServiceSID(CourierService)
	for _, d := range Directories() {
		if !strings.HasPrefix(d.SDDL, "O:SYG:SYD:P(") {
			t.Errorf("%q takes over what stands above: %s", d.Path, d.SDDL)
		}
		for _, ace := range strings.Split(d.SDDL, "(")[1:] {
			f := strings.Split(strings.TrimSuffix(ace, ")"), ";")
			rights, who := f[2], f[5]
			switch {
			case who == "SY" || who == "BA":
			case who == "BU" && rights == "0x1200a9":
			case who == courier && d.Path == "courier":
			default:
				t.Errorf("%q: %s", d.Path, ace)
			}
		}
	}
}

// As a service manager wrote it: a day, three restarts after a second each.
func TestFailureActions(t *testing.T) {
	const want = "805101000000000000000000030000001400000001000000e803000001000000e803000001000000e8030000"
	if got := hex.EncodeToString(FailureActions()); got != want {
		t.Error(got)
	}
}
