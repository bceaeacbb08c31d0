package lock

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/session"
)

// userToken is the token of who is logged on to a session. The caller closes it.
func (l *Ladder) userToken(s session.Session) (windows.Token, error) {
	id, err := sessionID(s)
	if err != nil {
		return 0, err
	}
	var token windows.Token
	if err := windows.WTSQueryUserToken(id, &token); err != nil {
		return 0, fmt.Errorf("ask for the user of session %s: %w", s.ID, err)
	}
	user, err := token.GetTokenUser()
	if err == nil && user.User.Sid.String() != s.SID {
		err = fmt.Errorf("session %s is another user's now", s.ID)
	}
	if err != nil {
		token.Close()
		return 0, err
	}
	return token, nil
}

// profiles is where Windows keeps which directory is a user's. Only administrators write there.
const profiles = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\`

// profileOf is a user's directory.
func profileOf(sid string) (string, error) {
	parsed, err := windows.StringToSid(sid)
	if err != nil {
		return "", fmt.Errorf("look up a profile: %w", err)
	}
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, profiles+parsed.String(), registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return "", fmt.Errorf("look up a profile: %w", err)
	}
	defer key.Close()
	path, _, err := key.GetStringValue("ProfileImagePath")
	if err != nil {
		return "", fmt.Errorf("look up a profile: %w", err)
	}
	if path, err = registry.ExpandString(path); err != nil || !filepath.IsAbs(path) || strings.HasPrefix(path, `\\`) {
		return "", fmt.Errorf("look up a profile: it is not on this machine (%v)", err)
	}
	return filepath.Clean(path), nil
}

// asUser runs do with no more rights than the owner of a token has, on a thread of its own that ends with it.
func asUser(token windows.Token, do func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		err := becomeUser(token)
		if err == nil {
			do()
		}
		done <- err
	}()
	return <-done
}

// becomeUser changes the rights of this thread alone.
func becomeUser(token windows.Token) error {
	var mine windows.Token
	err := windows.DuplicateTokenEx(token, windows.TOKEN_QUERY|windows.TOKEN_IMPERSONATE, nil, windows.SecurityImpersonation, windows.TokenImpersonation, &mine)
	if err != nil {
		return fmt.Errorf("act as a user: %w", err)
	}
	defer mine.Close()
	if err := windows.SetThreadToken(nil, mine); err != nil {
		return fmt.Errorf("act as a user: %w", err)
	}
	return nil
}
