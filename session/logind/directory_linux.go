package logind

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	getent   = "/usr/bin/getent"
	askLimit = 2 * time.Second  // for one run of getent
	askInAll = 20 * time.Second // for everything about one user
)

// directory asks the name service about one user. Once it has not answered in time it is not asked again: every question
// would take as long.
type directory struct {
	ctx  context.Context
	mute bool
}

// reply is what getent says by its exit code. A module of the name service whose server is down looks the same as one
// that has never heard of the name, so missing does not mean that nobody has it.
type reply int

const (
	silent  reply = iota // no answer, or none in time
	missing              // not in any source that answered
	found
)

// notFound is getent's exit code for a key that is in no source.
const notFound = 2

// get runs one lookup with an empty environment.
func (d *directory) get(database, key string) (string, reply) {
	if d.mute || key == "" || strings.HasPrefix(key, "-") {
		return "", silent
	}
	ctx, cancel := context.WithTimeout(d.ctx, askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, getent, database, key)
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.WaitDelay = []string{}, "/", &out, askLimit
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), found
	case errors.As(err, &exit) && exit.ExitCode() == notFound:
		return "", missing
	}
	d.mute = true
	return "", silent
}

// account is what the name service says of a user.
type account struct{ uid, gid uint32 }

func (d *directory) account(name string) (account, reply) {
	line, r := d.get("passwd", name)
	if r != found {
		return account{}, r
	}
	fields := strings.Split(line, ":")
	switch {
	case len(fields) < 4:
		return account{}, silent
	case fields[0] != name && strings.Trim(name, "0123456789") == "":
		return account{}, missing // getent took the name for a uid
	}
	uid, err := strconv.ParseUint(fields[2], 10, 32)
	gid, gidErr := strconv.ParseUint(fields[3], 10, 32)
	if err != nil || gidErr != nil {
		return account{}, silent
	}
	return account{uint32(uid), uint32(gid)}, found
}

// lookUp unites what the account has with the groups that the session's processes were given at logon. It is answered
// if the name service knows the account, under that uid, and said which groups it has.
func (d *directory) lookUp(uid uint32, name string, ids []uint32) (names []string, answered bool) {
	a, r := d.account(name)
	if r != found || a.uid == uid {
		names = localGroups(name)
	}
	if r == found && a.uid == uid {
		line, r := d.get("initgroups", name)
		answered = r == found
		ids = slices.Concat([]uint32{a.gid}, initGroups(line), ids)
	}
	for _, id := range ids[:min(len(ids), maxGroups)] {
		if name := d.groupName(id); name != "" {
			names = union(names, []string{name})
		}
	}
	return names, answered && !d.mute
}

// initGroups reads the ids after the name in a line of getent.
func initGroups(line string) []uint32 {
	fields := strings.Fields(line)
	var ids []uint32
	for _, f := range fields[min(1, len(fields)):] {
		if id, err := strconv.ParseUint(f, 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

func (d *directory) groupName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if grp, err := user.LookupGroupId(text); err == nil {
		return grp.Name
	}
	line, _ := d.get("group", text)
	name, _, _ := strings.Cut(line, ":")
	return plain(strings.TrimSpace(name))
}

// unanswered picks from the groups that a user had before those of which the fresh answer does not tell. It tells that he
// left a group if it knows the group. One that it does not know was removed if its source still answers: that is so for
// groups of this machine's own files, and for all groups of a user who is not in those files himself.
func (d *directory) unanswered(user string, before, fresh []string, answered bool, wasLocal func(group string) bool) []string {
	var out []string
	for _, name := range before {
		if slices.Contains(fresh, name) {
			continue
		}
		if answered {
			switch _, r := d.get("group", name); {
			case r == found, r == missing && (wasLocal(name) || !localUser(user)):
				continue
			}
		}
		out = append(out, name)
	}
	return out
}

// localGroup reports whether a group is in this machine's own files.
func localGroup(name string) bool {
	_, err := user.LookupGroup(name)
	return err == nil
}

func localUser(name string) bool {
	_, err := user.Lookup(name)
	return err == nil
}
