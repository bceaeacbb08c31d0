package trusted

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Read reads at most so many bytes of a file that nobody but an administrator, the system and who runs this program can
// have written: a regular file of one of them with one link, which nobody else may write, reached without a reparse
// point, below directories that Dirs accepts. A uid says nothing on Windows: owner is not looked at.
//
// Seen to read files in Wine, which invents descriptors; the decision on a descriptor is tested by its text. Not run on real Windows.
func Read(path string, _ uint32, most int64) ([]byte, error) {
	us, err := ourselves()
	if err != nil {
		return nil, err
	}
	return read(us, path, writes, most)
}

// Secret is Read for a file that nobody else may even read. Where an administrator looks at it, it may be that of a service's
// own account, which only an administrator can have let into its directory.
func Secret(path string, _ uint32, most int64) ([]byte, error) {
	us, err := ourselves()
	if err != nil {
		return nil, err
	}
	if windows.GetCurrentProcessToken().IsElevated() {
		us = append(us, services)
	}
	return read(us, path, writes|windows.GENERIC_READ|windows.FILE_READ_DATA, most)
}

func read(trusted []string, path string, forbidden windows.ACCESS_MASK, most int64) ([]byte, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := open(abs, windows.GENERIC_READ)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := judge(trusted, f, plain, forbidden); err != nil {
		return nil, err
	}
	if err := dirs(trusted, filepath.Dir(abs)); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// Dirs checks every directory up to the root of the volume: of an administrator, the system or who runs this program, and
// nobody else may take away what is in it. As in C:\ProgramData, others may be allowed to add to it.
func Dirs(dir string, _ uint32) error {
	us, err := ourselves()
	if err != nil {
		return err
	}
	return dirs(us, dir)
}

func dirs(trusted []string, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for ; ; dir = filepath.Dir(dir) {
		if err := judgePath(trusted, dir, directory, removes); err != nil || dir == filepath.Dir(dir) {
			return err
		}
	}
}

// Roots returns nil for a file that nobody but an administrator or the system can have written, and that nobody else can have
// put there. That is more than Read asks for: in C:\ProgramData and below, users may make files unless that is taken away, and
// could move there an administrator's file that lies in a directory of their own. Who runs this program does not count.
func Roots(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := judgePath(administrators, abs, plain, writes); err != nil {
		return err
	}
	forbidden := windows.ACCESS_MASK(adds)
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if err := judgePath(administrators, dir, directory, forbidden); err != nil || dir == filepath.Dir(dir) {
			return err
		}
		forbidden = removes // what is made beside a directory does not change what is in it
	}
}

// judgePath judges what stands at path.
func judgePath(trusted []string, path, want string, forbidden windows.ACCESS_MASK) error {
	f, err := open(path, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return judge(trusted, f, want, forbidden)
}

// open opens what stands at path itself, and never what it points to.
func open(path string, access uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, access|windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// What an open file must be.
const (
	plain     = "regular file"
	directory = "directory"
)

// judge looks at the open file: what it is, and who but the trusted may do to it what forbidden says.
func judge(trusted []string, f *os.File, want string, forbidden windows.ACCESS_MASK) error {
	h := windows.Handle(f.Fd())
	kind, err := windows.GetFileType(h)
	if err != nil {
		return &os.PathError{Op: "look at", Path: f.Name(), Err: err}
	}
	var st windows.ByHandleFileInformation
	if kind == windows.FILE_TYPE_DISK {
		if err := windows.GetFileInformationByHandle(h, &st); err != nil {
			return &os.PathError{Op: "look at", Path: f.Name(), Err: err}
		}
	}
	switch isDir := st.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0; {
	case kind != windows.FILE_TYPE_DISK, isDir != (want == directory), st.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0:
		return fmt.Errorf("%s: %w: not a %s, reached without a link", f.Name(), ErrUnsafe, want)
	case want == plain && st.NumberOfLinks != 1:
		return fmt.Errorf("%s: %w: it has %d hard links; copy it to a file of its own", f.Name(), ErrUnsafe, st.NumberOfLinks)
	}
	sd, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return &os.PathError{Op: "read the permissions of", Path: f.Name(), Err: err}
	}
	if err := decide(sd, trusted, forbidden); err != nil {
		return fmt.Errorf("%s: %w: %w", f.Name(), ErrUnsafe, err)
	}
	return nil
}

// ourselves are administrators and who runs this program.
func ourselves() ([]string, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("ask who runs this program: %w", err)
	}
	return append([]string{u.User.Sid.String()}, administrators...), nil
}

// services are the accounts that services have of their own, NT SERVICE\name.
const services = "S-1-5-80-*"

// administrators may write everything anyhow: SYSTEM, Administrators, TrustedInstaller.
var administrators = []string{"S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"}

// Rights that only the trusted may have: to a file, and to a directory.
const (
	changes = windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_ALL | windows.MAXIMUM_ALLOWED
	writes  = changes | windows.GENERIC_WRITE | windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_ATTRIBUTES | windows.FILE_WRITE_EA
	removes = changes | deleteChild
	adds    = writes | deleteChild // what writes a file makes one in a directory

	deleteChild = 0x40 // FILE_DELETE_CHILD
)

// decide judges a descriptor alone: the owner is trusted, and the list gives nobody else what is forbidden. An entry that
// takes rights away is not counted on; one of a kind that is not known gives everything.
func decide(sd *windows.SECURITY_DESCRIPTOR, trusted []string, forbidden windows.ACCESS_MASK) error {
	owner, _, err := sd.Owner()
	if err != nil || owner == nil || !among(trusted, owner) {
		return errors.New("its owner is not an administrator; run as one: takeown /a /f FILE")
	}
	dacl, _, err := sd.DACL()
	if err != nil || dacl == nil {
		return errors.New("it has no list of permissions: everybody may write it")
	}
	for i := range dacl.AceCount {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, uint32(i), &ace); err != nil {
			return fmt.Errorf("read permission %d: %w", i, err)
		}
		inherited := ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 // by what will be made in it
		switch {
		case inherited || ace.Header.AceType == windows.ACCESS_DENIED_ACE_TYPE:
		case ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE:
			return fmt.Errorf("permission %d is of a kind that is not known", i)
		case ace.Mask&forbidden != 0:
			if sid := sidOf(ace); !among(trusted, sid) {
				return fmt.Errorf("%s may write it; run as an administrator: icacls FILE /remove *%s", sid, sid)
			}
		}
	}
	return nil
}

func among(trusted []string, sid *windows.SID) bool {
	for _, t := range trusted {
		some, many := strings.CutSuffix(t, "*")
		if strings.EqualFold(t, sid.String()) || many && strings.HasPrefix(sid.String(), some) {
			return true
		}
	}
	return false
}

// sidOf is whom an entry is for: the identifier begins in the entry's last field.
func sidOf(ace *windows.ACCESS_ALLOWED_ACE) *windows.SID {
	return (*windows.SID)(unsafe.Pointer(&ace.SidStart))
}
