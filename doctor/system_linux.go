package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stepaway/audit"
)

// rtcApart is how far the clock of the hardware may be from the system's.
const rtcApart = time.Minute

func clockSane(ctx context.Context, m *Machine) []Finding {
	var fs []Finding
	if !m.Synced() {
		fs = append(fs, warn("run an NTP client (systemd-timesyncd, chrony) and let it reach a server", "nothing keeps the wall clock in step: records bear a time that may be wrong"))
	}
	if adj, err := m.text("/etc/adjtime"); err == nil && strings.Contains(adj, "LOCAL") {
		fs = append(fs, warn("timedatectl set-local-rtc 0", "the hardware's clock runs in local time"))
	}
	if rtc, err := m.text("/sys/class/rtc/rtc0/since_epoch"); err == nil {
		sec, bad := strconv.ParseInt(strings.TrimSpace(rtc), 10, 64)
		if off := time.Since(time.Unix(sec, 0)); bad == nil && off.Abs() > rtcApart {
			fs = append(fs, warn("hwclock --systohc once the time is right; an old battery loses it", "the hardware's clock is %v away", off.Round(time.Second)))
		}
	}
	if st, err := m.Status(); err == nil && st.Totals != nil {
		if n := st.Totals.Events[audit.ClockJump]; n > 0 {
			fs = append(fs, note("see the clock.jump events", "the wall clock was set %d times since the agent started; no deadline moved", n))
		}
	}
	if len(fs) == 0 {
		fs = append(fs, ok("kept in step"))
	}
	return fs
}

// file is one that has an owner and a mode.
type file struct {
	path  string // a pattern
	owner string // account
	most  fs.FileMode
	must  bool // it has to be there once the services run
}

// others may write nothing, or read nothing either.
const (
	publicFile fs.FileMode = 0o755
	secretFile fs.FileMode = 0o700
)

func (m *Machine) files() []file {
	return []file{
		{path.Dir(m.Policy), "root", publicFile, false},
		{m.Policy, "root", publicFile, false},
		{path.Join(path.Dir(m.Policy), "policy.d"), "root", publicFile, false},
		{path.Join(path.Dir(m.Policy), "policy.d/*.yaml"), "root", publicFile, false},
		{path.Join(path.Dir(m.Policy), "approvals"), "root", publicFile, false},
		{path.Join(path.Dir(m.Policy), "approvals/*.approval"), "root", publicFile, false},
		{m.Runtime, "root", publicFile, true},
		{path.Join(m.Runtime, "link.sock"), "root", 0o666, true},
		{path.Join(m.Runtime, "input.json"), "root", secretFile, false},
		{path.Join(m.Runtime, "policy"), "root", publicFile, false},
		{path.Join(m.Runtime, "policy/collector.json"), "root", publicFile, false},
		{path.Join(m.Runtime, "metrics"), "root", publicFile, false},
		{path.Join(m.Runtime, "metrics/*"), "root", publicFile, false},
		{m.State, "root", secretFile, true},
		{path.Join(m.State, "*"), "root", secretFile, false},
		{m.Courier, "stepaway", secretFile, true},
		{path.Join(m.Courier, "identity"), "stepaway", secretFile, false},
		{path.Join(m.Courier, "identity/*"), "stepaway", secretFile, false},
		{path.Join(m.Courier, "spool"), "stepaway", secretFile, false},
		{path.Join(m.Courier, "spool/*"), "stepaway", secretFile, false},
		{path.Join(m.Programs, "stepaway-*"), "root", publicFile, true},
		{"/usr/lib/systemd/system/stepaway*.service", "root", publicFile, false},
		{"/etc/systemd/system/stepaway*", "root", publicFile, false},
	}
}

func filePermissions(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	seen := 0
	for _, f := range m.files() {
		paths := []string{f.path}
		if strings.Contains(f.path, "*") {
			paths = m.glob(f.path)
		}
		for _, p := range paths {
			if wrong, found := m.permitted(p, f); found {
				seen++
				fs = append(fs, wrong...)
			} else if f.must {
				fs = append(fs, warn("start the services, or install the package again", "%s is missing", p))
			}
		}
	}
	if m.UID != 0 {
		fs = append(fs, note("run doctor as root", "what lies in directories of root was not looked at"))
	}
	return append(fs, ok("%d files and directories looked at", seen))
}

// permitted looks at one file. A link is judged by where it leads.
func (m *Machine) permitted(p string, f file) (wrong []Finding, found bool) {
	at, err := m.open(p, unix.O_PATH)
	if err != nil {
		return nil, errors.Is(err, fs.ErrPermission)
	}
	defer at.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return []Finding{m.unread(err, "%s", p)}, true
	}
	owner := uint32(0)
	if f.owner != "root" {
		if owner, err = m.uid(f.owner); err != nil {
			return []Finding{fail("install the package again", "there is no account %s", f.owner)}, true
		}
	}
	if st.Uid != owner && st.Uid != 0 {
		wrong = append(wrong, fail("chown "+f.owner+" "+p, "%s belongs to uid %d, not %s", p, st.Uid, f.owner))
	}
	if mode := fs.FileMode(st.Mode & 0o777); mode&^f.most&0o077 != 0 {
		wrong = append(wrong, fail(fmt.Sprintf("chmod %04o %s", mode&f.most, p), "%s has mode %04o, at most %04o", p, mode, mode&f.most))
	}
	return wrong, true
}

// uid of an account of this machine.
func (m *Machine) uid(name string) (uint32, error) {
	text, err := m.text("/etc/passwd")
	if err != nil {
		return 0, err
	}
	for _, u := range fields(text) {
		if u[0] == name && len(u) > 2 {
			n, err := strconv.ParseUint(u[2], 10, 32)
			return uint32(n), err
		}
	}
	return 0, user.UnknownUserError(name)
}

// login1 is how busctl is asked about logind.
var login1 = []string{"org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"}

// holder of an inhibitor: what, who, why, mode, uid, pid.
type holder []any

func (h holder) text(i int) string {
	if i < len(h) {
		if s, is := h[i].(string); is {
			return s
		}
	}
	return ""
}

func sleepHeld(ctx context.Context, m *Machine) []Finding {
	out, err := m.run(ctx, "busctl", append([]string{"--json=short", "call"}, append(login1, "ListInhibitors")...)...)
	var got struct{ Data [][]holder }
	if err == nil {
		err = decode(out, &got)
	}
	if err != nil {
		return []Finding{m.unread(err, "who holds back sleep")}
	}
	var fs []Finding
	ours := false
	for _, list := range got.Data {
		for _, h := range list {
			what, who, mode := h.text(0), h.text(1), h.text(3)
			switch {
			case strings.EqualFold(who, "stepaway") && strings.Contains(what, "sleep"):
				ours = true
			case mode == "block":
				fs = append(fs, note("", "%s blocks %s; deadlines do not wait for that", word(who), word(what)))
			}
		}
	}
	if ours {
		fs = append(fs, ok("the agent locks before the machine sleeps"))
	} else {
		fs = append(fs, warn("systemctl restart "+agentUnit, "the agent does not hold back sleep: the machine may sleep before it is locked"))
	}
	return append(fs, m.logindActs(ctx)...)
}

// logindActs says what logind does by itself.
func (m *Machine) logindActs(ctx context.Context) []Finding {
	out, err := m.run(ctx, "busctl", append([]string{"--json=short", "get-property"}, append(login1, "HandleLidSwitch", "IdleAction", "IdleActionUSec")...)...)
	var values []any
	for d := json.NewDecoder(bytes.NewReader(out)); err == nil; {
		var v struct{ Data any }
		if d.Decode(&v) != nil {
			break
		}
		values = append(values, v.Data)
	}
	if err != nil || len(values) != 3 {
		return nil
	}
	var fs []Finding
	if values[0] == "ignore" {
		fs = append(fs, note("HandleLidSwitch=lock or suspend in logind.conf, if a closed lid should lock at once", "a closed lid does nothing; the deadline goes on"))
	}
	if us, is := values[2].(float64); is && values[1] != "ignore" && us < math.MaxInt64 {
		after := time.Duration(us) * time.Microsecond
		fs = append(fs, note("", "logind does %v after %v without input, by what desktops tell it; the agent does not depend on it", values[1], after))
	}
	return fs
}

func kernelHas(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	var u unix.Utsname
	_ = unix.Uname(&u)
	release := unix.ByteSliceToString(u.Release[:])
	for name, try := range map[string]func() (int, error){
		"openat2": func() (int, error) {
			return unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
		},
		"pidfd":           func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) },
		"inotify":         func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) },
		"timerfd of boot": func() (int, error) { return unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC) },
	} {
		fd, err := try()
		if err != nil {
			fs = append(fs, fail("use a kernel of 5.6 or newer", "kernel %s: %s: %v", release, name, err))
			continue
		}
		unix.Close(fd)
	}
	if len(fs) == 0 {
		fs = append(fs, ok("kernel %s", release))
	}
	return fs
}
