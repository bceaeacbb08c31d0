package link

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"stepaway/session"
)

// https://learn.microsoft.com/windows/win32/api/namedpipeapi/nf-namedpipeapi-impersonatenamedpipeclient
//sys	impersonateNamedPipeClient(pipe windows.Handle) (err error) = advapi32.ImpersonateNamedPipeClient

// OwnAccess is the access to a pipe that only the system and who runs this program may use, in SDDL.
func OwnAccess() (string, error) {
	me, err := self()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("O:%sD:P(D;;FA;;;NU)(A;;FA;;;SY)(A;;FA;;;%s)", me, me), nil
}

// Listen makes the pipe with the access that the text in SDDL says. It is the first of its name, or an error: whoever
// made one before may be an agent, or somebody who wants to be taken for it.
func Listen(pipe, access string, host Host, outbox *Outbox) (*Server, error) {
	if Answered(pipe) {
		return nil, fmt.Errorf("%w on %s; stop it first", ErrAnswered, pipe)
	}
	l, err := listenPipe(pipe, access)
	if err != nil {
		return nil, fmt.Errorf("make the link's pipe: %w", err)
	}
	return ServeOn(l, host, outbox), nil
}

// Answered reports whether an agent listens on the pipe, or at least something that is not to be asked by this program.
func Answered(pipe string) bool {
	wait := time.Second
	c, err := winio.DialPipe(pipe, &wait)
	if err == nil {
		c.Close()
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// peerOf asks the system who connected: the account, its rights and its session by the token of the client as it was when
// it connected, not by its process, which another may have taken the number of. A client that shows no token is nobody.
func peerOf(c net.Conn) (Peer, error) {
	h, err := pipeOf(c)
	if err != nil {
		return Peer{}, err
	}
	var pid uint32
	if err := windows.GetNamedPipeClientProcessId(h, &pid); err != nil {
		return Peer{}, fmt.Errorf("ask which process connected: %w", err)
	}
	token, err := clientToken(h)
	if err != nil {
		return Peer{}, fmt.Errorf("ask who connected: %w", err)
	}
	defer token.Close()
	p, err := peerBy(token)
	p.PID = int32(pid)
	return p, err
}

// pipeOf is the handle of a connection, for as long as that is open.
func pipeOf(c net.Conn) (windows.Handle, error) {
	f, ok := c.(interface{ Fd() uintptr })
	if !ok {
		return 0, fmt.Errorf("a connection of kind %T is no pipe", c)
	}
	return windows.Handle(f.Fd()), nil
}

// clientToken is the token that the client showed when it connected. For a moment this thread is the client.
func clientToken(pipe windows.Handle) (windows.Token, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := impersonateNamedPipeClient(pipe); err != nil {
		return 0, err
	}
	var token windows.Token
	err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &token)
	if back := windows.RevertToSelf(); back != nil {
		panic("link: a thread stays somebody else: " + back.Error())
	}
	return token, err
}

// peerBy reads from a token whose it is. An elevated administrator has the group Administrators in force.
func peerBy(token windows.Token) (Peer, error) {
	u, err := token.GetTokenUser()
	if err != nil {
		return Peer{}, fmt.Errorf("ask whose token it is: %w", err)
	}
	id, err := sessionOf(token)
	if err != nil {
		return Peer{}, fmt.Errorf("ask for the session of a token: %w", err)
	}
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return Peer{}, fmt.Errorf("name the administrators: %w", err)
	}
	admin, err := token.IsMember(administrators)
	if err != nil {
		return Peer{}, fmt.Errorf("ask whether a token is an administrator's: %w", err)
	}
	return Peer{UID: session.NoUID, SID: u.User.Sid.String(), Session: id,
		Root: admin && token.IsElevated() || u.User.Sid.IsWellKnown(windows.WinLocalSystemSid)}, nil
}
