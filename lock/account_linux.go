package lock

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stepaway/asuser"
)

// account is what the system says of a user.
type account struct {
	uid, gid uint32
	home     string // absolute
}

const (
	getent      = "/usr/bin/getent"
	getentLimit = 2 * time.Second
	maxPasswd   = 4 << 20
)

// accountOf looks a user up in /etc/passwd and, as this program is static and has no name service of its own, by getent. Not
// by os/user: for the user who runs it, that falls back on $HOME.
func accountOf(ctx context.Context, uid uint32) (account, error) {
	if b, err := os.ReadFile("/etc/passwd"); err == nil {
		if a, ok := parseAccount(b, uid); ok {
			return a, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, getentLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, getent, "passwd", strconv.FormatUint(uint64(uid), 10))
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.WaitDelay = []string{}, "/", &out, getentLimit
	if err := cmd.Run(); err != nil {
		return account{}, fmt.Errorf("look up uid %d: %w", uid, err)
	}
	if a, ok := parseAccount(out.Bytes(), uid); ok {
		return a, nil
	}
	return account{}, fmt.Errorf("look up uid %d: no account with a home directory", uid)
}

// parseAccount finds the first line of a user in the format of /etc/passwd.
func parseAccount(passwd []byte, uid uint32) (account, bool) {
	want := strconv.FormatUint(uint64(uid), 10)
	for line := range strings.Lines(string(passwd[:min(len(passwd), maxPasswd)])) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || f[2] != want {
			continue
		}
		gid, err := strconv.ParseUint(f[3], 10, 32)
		home := filepath.Clean(f[5])
		return account{uid, uint32(gid), home}, err == nil && filepath.IsAbs(home)
	}
	return account{}, false
}

// asUser runs do with no more rights to files than a user has.
func asUser(who account, do func()) error { return asuser.Do(who.uid, who.gid, do) }
