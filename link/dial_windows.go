package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// speak is what a peer may do with the pipe: read, write, and see whose it is. GENERIC_WRITE would ask to make another
// instance of the pipe as well, which no peer may.
// https://learn.microsoft.com/windows/win32/ipc/named-pipe-security-and-access-rights
const speak = windows.FILE_GENERIC_READ | windows.FILE_WRITE_DATA

// Dial connects to the enforcer's pipe. The pipe must belong to the system, to the administrators or to this very user:
// nobody else can have a say in what a user is shown. Its owner tells, not the process of the server, which a user
// may not look at; nobody can give a pipe to somebody else. The server learns who connects and cannot act as him.
func Dial(pipe string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sayWithin)
	defer cancel()
	c, err := winio.DialPipeAccessImpLevel(ctx, pipe, speak, winio.PipeImpLevelIdentification)
	if err != nil {
		return nil, fmt.Errorf("connect to the enforcer: %w", err)
	}
	if err := checkOwner(c); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the enforcer: %s: %w", pipe, err)
	}
	return c, nil
}

func checkOwner(c net.Conn) error {
	h, err := pipeOf(c)
	if err != nil {
		return err
	}
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("ask whose it is: %w", err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("ask whose it is: %w", err)
	}
	if owner == nil {
		return errors.New("it belongs to nobody")
	}
	me, err := self()
	if err != nil {
		return err
	}
	if !trusted(owner.String(), me) {
		return fmt.Errorf("it belongs to %s", owner)
	}
	return nil
}

// trusted reports whether a process of own may be told things by the owner of a pipe.
func trusted(owner, own string) bool {
	return owner == own || owner == "S-1-5-18" || owner == "S-1-5-32-544" // LocalSystem, Administrators
}

// self is the account that runs this program.
func self() (string, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("ask who runs this program: %w", err)
	}
	return u.User.Sid.String(), nil
}

// sessionOf is the session of a token, in the words of package session.
func sessionOf(token windows.Token) (string, error) {
	var id, n uint32
	err := windows.GetTokenInformation(token, windows.TokenSessionId, (*byte)(unsafe.Pointer(&id)), uint32(unsafe.Sizeof(id)), &n)
	return strconv.FormatUint(uint64(id), 10), err
}
