package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/packaging"
	"stepaway/trusted"
)

// MakeDirs makes the directories of an installation below root, each with its owner and permissions, and gives those that
// are there theirs again. One that somebody else than an administrator made beforehand is refused: nobody knows what is in
// it. Setting an owner takes an administrator or the system's account.
func MakeDirs(root string) error {
	if err := allow("SeRestorePrivilege"); err != nil {
		return err
	}
	if err := trusted.Dirs(filepath.Dir(root), 0); err != nil {
		return fmt.Errorf("make %s: others could replace it: %w", root, err)
	}
	for _, d := range packaging.Directories() {
		path := filepath.Join(root, d.Path)
		if err := makeDir(path, d.SDDL); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
	}
	return nil
}

func makeDir(path, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return fmt.Errorf("read its permissions %s: %w", sddl, err)
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	sa := windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(sa))
	err = windows.CreateDirectory(name, &sa)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	h, err := windows.CreateFile(name, windows.WRITE_DAC|windows.WRITE_OWNER|windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return fmt.Errorf("open what is there: %w", err)
	}
	defer windows.CloseHandle(h)
	if err := judge(h); err != nil {
		return fmt.Errorf("look at what is there, and remove it: %w", err)
	}
	return permit(h, sd)
}

// judge looks at what was there: a directory, and not one that points elsewhere, of an administrator.
func judge(h windows.Handle) error {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return err
	}
	if info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0 || info.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return errors.New("it is no directory, or points elsewhere")
	}
	sd, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	return ownedBy(sd, u.User.Sid)
}

// ownedBy: the owner is the system, the administrators, or the administrator who runs this.
func ownedBy(sd *windows.SECURITY_DESCRIPTOR, self *windows.SID) error {
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	if owner == nil || !owner.IsWellKnown(windows.WinLocalSystemSid) && !owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) && !owner.Equals(self) {
		return fmt.Errorf("it belongs to %v, who is no administrator", owner)
	}
	return nil
}

// permit gives a directory owner and permissions of a descriptor.
func permit(h windows.Handle, sd *windows.SECURITY_DESCRIPTOR) error {
	owner, _, err := sd.Owner()
	if err != nil {
		return err
	}
	group, _, err := sd.Group()
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	const what = windows.OWNER_SECURITY_INFORMATION | windows.GROUP_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION |
		windows.PROTECTED_DACL_SECURITY_INFORMATION
	if err := windows.SetSecurityInfo(h, windows.SE_FILE_OBJECT, what, owner, group, dacl, nil); err != nil {
		return fmt.Errorf("set its permissions: %w", err)
	}
	return nil
}

// allow turns a privilege on that this process has.
func allow(privilege string) error {
	name, err := windows.UTF16PtrFromString(privilege)
	if err != nil {
		return err
	}
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return fmt.Errorf("turn on %s: %w", privilege, err)
	}
	defer token.Close()
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	if err := windows.LookupPrivilegeValue(nil, name, &p.Privileges[0].Luid); err != nil {
		return fmt.Errorf("turn on %s: %w", privilege, err)
	}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	if err := windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil); err != nil {
		return fmt.Errorf("turn on %s: %w", privilege, err)
	}
	return nil
}
