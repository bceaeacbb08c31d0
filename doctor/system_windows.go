package doctor

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/packaging"
)

// number reads a DWORD below HKEY_LOCAL_MACHINE, in the 64-bit view.
func number(key, name string) (uint64, bool) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return 0, false
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue(name)
	return n, err == nil
}

// lockAllowed looks at the policy of the machine and of every user whose registry is loaded. See the documentation of the
// policy "Remove Lock Computer".
func lockAllowed(context.Context, *Machine) []Finding {
	const key, name = `Software\Microsoft\Windows\CurrentVersion\Policies\System`, "DisableLockWorkstation"
	const do = "turn off the policy \"Remove Lock Computer\" (Ctrl+Alt+Del Options)"
	if n, set := number(key, name); set && n != 0 {
		return []Finding{fail(do, "locking is forbidden to everybody")}
	}
	users, err := registry.USERS.ReadSubKeyNames(0)
	if err != nil {
		return []Finding{warn("run doctor as "+asWho, "users' policies cannot be read: %v", err)}
	}
	forbidden := 0
	for _, u := range users {
		k, err := registry.OpenKey(registry.USERS, u+`\`+key, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		if n, _, err := k.GetIntegerValue(name); err == nil && n != 0 {
			forbidden++
		}
		k.Close()
	}
	if forbidden > 0 {
		return []Finding{fail(do, "locking is forbidden to %d of those who are logged on", forbidden)}
	}
	return []Finding{ok("a workstation may be locked")}
}

// passwordAfterSleep looks at the policy "Require a password when a computer wakes", by its identifier in the documentation of
// power settings. Where it is not set, Windows asks.
func passwordAfterSleep(context.Context, *Machine) []Finding {
	const key = `Software\Policies\Microsoft\Power\PowerSettings\0e796bdb-100d-47d6-a2d5-f7d2daa51f51`
	for _, name := range []string{"ACSettingIndex", "DCSettingIndex"} {
		if n, set := number(key, name); set && n == 0 {
			return []Finding{fail("turn on the policy \"Require a password when a computer wakes\"", "no password is asked for after sleep")}
		}
	}
	return []Finding{ok("asked for after sleep, as far as policy says")}
}

func autoLogon(context.Context, *Machine) []Finding {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `Software\Microsoft\Windows NT\CurrentVersion\Winlogon`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return []Finding{warn("run doctor as "+asWho, "the settings of logon cannot be read: %v", err)}
	}
	defer k.Close()
	on, _, err := k.GetStringValue("AutoAdminLogon")
	if err == nil && strings.TrimSpace(on) != "" && strings.TrimSpace(on) != "0" {
		return []Finding{fail("set AutoAdminLogon to 0, and remove DefaultPassword", "somebody is logged on after every start without a password")}
	}
	if _, _, err := k.GetStringValue("DefaultPassword"); err == nil {
		return []Finding{warn("remove DefaultPassword below Winlogon", "a password stands in the registry for every user to read")}
	}
	return []Finding{ok("nobody is logged on by himself")}
}

func blankPasswords(context.Context, *Machine) []Finding {
	if n, set := number(`SYSTEM\CurrentControlSet\Control\Lsa`, "LimitBlankPasswordUse"); set && n == 0 {
		return []Finding{fail("turn on \"Limit local account use of blank passwords to console logon only\"", "accounts without a password may log on over the network")}
	}
	return []Finding{ok("accounts without a password may log on at the machine alone; that there is none is for the password policy")}
}

func clockSane(_ context.Context, m *Machine) []Finding {
	if !m.Synced() {
		return []Finding{warn("start the service W32Time and let it reach a server", "nothing is known to keep the wall clock in step: records bear a time that may be wrong")}
	}
	return []Finding{ok("kept in step")}
}

// directories compares each with what the installation gave it.
func directories(_ context.Context, m *Machine) []Finding {
	root := filepath.Dir(m.State)
	var fs []Finding
	for _, d := range packaging.Directories() {
		fs = append(fs, directory(filepath.Join(root, d.Path), d.SDDL, m)...)
	}
	if len(fs) == 0 {
		fs = append(fs, ok("as the installation made them"))
	}
	return fs
}

func directory(path, sddl string, m *Machine) []Finding {
	const what = windows.OWNER_SECURITY_INFORMATION | windows.GROUP_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION
	is, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, what)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{warn("run: stepaway-agent install", "%s is missing", path)}
	case errors.Is(err, fs.ErrPermission) && m.UID != 0:
		return []Finding{note("run doctor as "+asWho, "%s: only %s may look", path, asWho)}
	case err != nil:
		return []Finding{warn("correct that", "%s: %v", path, err)}
	}
	want, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return []Finding{warn("", "%s: %v", path, err)}
	}
	if a, b := permissions(is), permissions(want); a != b {
		return []Finding{fail("run: stepaway-agent install", "%s has the permissions %s, not %s", path, a, b)}
	}
	return nil
}

// permissions is a descriptor as text without what Windows notes for itself, as that entries were once inherited.
func permissions(sd *windows.SECURITY_DESCRIPTOR) string {
	owners, list, _ := strings.Cut(sd.String(), "D:")
	flags, entries, _ := strings.Cut(list, "(")
	if strings.Contains(flags, "P") {
		flags = "P"
	}
	return owners + "D:" + flags + "(" + entries
}
