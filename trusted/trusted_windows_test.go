package trusted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

const user = "S-1-5-21-1-2-3-1001"

// TestDecide judges descriptors by their text, as Windows writes them.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		sddl      string
		forbidden windows.ACCESS_MASK
		want      string // "" for trusted
	}{
		{"O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)", writes, ""},
		{"O:SYD:P(A;;FA;;;SY)(A;;FR;;;BU)(A;;0x1200a9;;;WD)", writes, ""},
		{"O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464D:(A;;FA;;;BA)", writes, ""},
		{"O:" + user + "D:(A;;FA;;;" + user + ")", writes, ""},
		{"O:BAD:(A;OICIIO;FA;;;CO)(A;;FA;;;BA)", writes, ""},
		{"O:BAD:(D;;FA;;;WD)(A;;FA;;;BA)", writes, ""},
		{"O:BAD:", writes, ""}, // nobody at all
		{"O:BUD:(A;;FA;;;BA)", writes, "its owner is not an administrator"},
		{"O:S-1-5-21-1-2-3-1002D:(A;;FA;;;BA)", writes, "its owner is not an administrator"},
		{"D:(A;;FA;;;BA)", writes, "its owner is not an administrator"},
		{"O:BA", writes, "everybody may write it"},
		{"O:BAD:(A;;FA;;;BA)(A;;FW;;;BU)", writes, "S-1-5-32-545 may write it"},
		{"O:BAD:(A;;0x1301bf;;;AU)", writes, "S-1-5-11 may write it"},
		{"O:BAD:(A;;GA;;;WD)", writes, "S-1-1-0 may write it"},
		{"O:BAD:(A;;0x4;;;WD)", writes, "S-1-1-0 may write it"},
		{"O:BAD:(A;;SD;;;WD)", writes, "S-1-1-0 may write it"},
		{"O:BAD:(A;;WD;;;WD)", writes, "S-1-1-0 may write it"},
		{"O:BAD:(A;;WO;;;WD)", writes, "S-1-1-0 may write it"},
		{"O:BAD:(D;;FA;;;BU)(A;;FA;;;BU)", writes, "S-1-5-32-545 may write it"},
		// C:\ProgramData, and a directory that a user could empty
		{"O:SYD:PAI(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;DCLCRPCR;;;BU)", removes, ""},
		{"O:SYD:(A;;0x40;;;BU)", removes, "S-1-5-32-545 may write it"},
		{"O:SYD:(A;;SD;;;BU)", removes, "S-1-5-32-545 may write it"},
		// where nobody else can put a file: not in C:\ProgramData
		{"O:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)", adds, ""},
		{"O:SYD:PAI(A;OICI;FA;;;SY)(A;CI;DCLCRPCR;;;BU)", adds, "S-1-5-32-545 may write it"},
		{"O:SYD:(A;;0x2;;;BU)", adds, "S-1-5-32-545 may write it"},
		{"O:SYD:(A;;0x40;;;BU)", adds, "S-1-5-32-545 may write it"},
	} {
		sd, err := windows.SecurityDescriptorFromString(c.sddl)
		if err != nil {
			t.Errorf("%s: %v", c.sddl, err)
			continue
		}
		err = decide(sd, append(administrators, user), c.forbidden)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.sddl, err, c.want)
		}
	}
}

// TestServicesKeepSecrets: the courier's key is looked at by administrators too, and by nobody whom others let in.
func TestServicesKeepSecrets(t *testing.T) {
	const service = "S-1-5-80-1-2-3-4-5"
	secret := windows.ACCESS_MASK(writes | windows.GENERIC_READ | windows.FILE_READ_DATA)
	for sddl, want := range map[string]bool{
		"O:" + service + "D:(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1301bf;;;" + service + ")": true,
		"O:SYD:(A;;FA;;;SY)(A;;0x1200a9;;;BU)":                                       false,
		"O:SYD:(A;;FA;;;SY)(A;;0x1301bf;;;S-1-5-81-1)":                               false,
		"O:S-1-5-21-1-2-3-1002D:(A;;0x1301bf;;;" + service + ")":                     false,
	} {
		sd, err := windows.SecurityDescriptorFromString(sddl)
		if err != nil {
			t.Fatalf("%s: %v", sddl, err)
		}
		if err := decide(sd, append([]string{services}, administrators...), secret); (err == nil) != want {
			t.Errorf("%s: %v", sddl, err)
		}
		if err := decide(sd, administrators, secret); err == nil {
			t.Errorf("%s: taken without services", sddl)
		}
	}
}

// TestDecideUnknownEntry: an entry for an object, or with a condition, has another form.
func TestDecideUnknownEntry(t *testing.T) {
	sd, err := windows.SecurityDescriptorFromString("O:BAD:(A;;FR;;;BA)")
	if err != nil {
		t.Fatal(err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		t.Fatal(err)
	}
	var ace *windows.ACCESS_ALLOWED_ACE
	if err := windows.GetAce(dacl, 0, &ace); err != nil {
		t.Fatal(err)
	}
	ace.Header.AceType = 9
	if err := decide(sd, administrators, writes); err == nil || !strings.Contains(err.Error(), "of a kind that is not known") {
		t.Error(err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(path, []byte("limit: 10m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path, 0, 7); err != nil || string(b) != "limit: " {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Read(path+"x", 0, 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(filepath.Dir(path), 0, 7); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Read(`\\.\NUL`, 0, 7); err == nil {
		t.Error("a device is read")
	}
	if err := os.Link(path, path+".too"); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 0, 7); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "2 hard links") {
		t.Errorf("two links: %v", err)
	}
}

// TestRoots: what is of who runs this program is not an administrator's, whoever that is: he may be a user.
func TestRoots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	if err := Roots(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Roots(path); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "its owner is not an administrator") {
		t.Errorf("a user's file: %v", err)
	}
	if err := Roots(filepath.Dir(path)); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a directory: %v", err)
	}
}
