//go:build linux

package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Container is a machine that runs systemd, logind, D-Bus and PAM. It has the users nurse (group clinicians)
// and doctor, whose passwords are their names.
type Container struct {
	t      testing.TB
	leader int // its PID 1, as this machine counts; 0 for a test that runs in the container

	sessions int // begun by the test
	log      *bytes.Buffer
}

// boot is run in a mount namespace of its own, so that nothing stays mounted. The control group of its own keeps
// the machines of concurrent tests apart.
const boot = `set -e
for h in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	[ -f $h/cgroup.procs ] || continue
	mkdir -p $h/$NAME && echo $$ > $h/$NAME/cgroup.procs
done
mount -t tmpfs -o mode=755 tmpfs "$DIR"
mkdir "$DIR/upper" "$DIR/work" "$DIR/root"
mount -t overlay -o "lowerdir=$ROOT,upperdir=$DIR/upper,workdir=$DIR/work" overlay "$DIR/root"
exec systemd-nspawn -q -D "$DIR/root" -b -M "$NAME" --register=no --keep-unit --private-network \
	--system-call-filter=@memlock --link-journal=no --resolv-conf=off --timezone=off --console=pipe
`

// Suite is which Debian a container is.
type Suite string

// Suites.
const (
	Debian12 Suite = "bookworm" // an X desktop
	Debian13 Suite = "trixie"   // Wayland compositors, their lockers, and the screen savers of X desktops
)

// Root returns the root file system from which containers of Debian 12 boot, and builds it if it is missing (about a minute).
func Root(t testing.TB) string {
	t.Helper()
	return root(t, Debian12)
}

// root is Root for one of the suites; Debian 13 takes about six minutes.
func root(t testing.TB, suite Suite) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(here(), "container.sh"), string(suite))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build the container's root: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Boot starts a container of Debian 12 on a fresh copy of the root and waits until its services are up. It needs root.
func Boot(t testing.TB) *Container {
	t.Helper()
	return BootSuite(t, Debian12)
}

// BootSuite is Boot for one of the suites.
func BootSuite(t testing.TB, suite Suite) *Container {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("a container needs root")
	}
	root, dir := root(t, suite), shortDir(t)
	name := "rig" + strconv.Itoa(os.Getpid()) + "x" + strings.TrimPrefix(filepath.Base(dir), "rig")
	c := &Container{t: t, log: &bytes.Buffer{}}
	cmd := exec.Command(Tool(t, "unshare"), "--mount", "--propagation", "private", "bash", "-c", boot)
	cmd.Env = append(os.Environ(), "ROOT="+root, "DIR="+dir, "NAME="+name, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.WaitDelay = 5 * time.Second
	t.Cleanup(func() { removeGroups(name) })
	Start(t, cmd)
	t.Cleanup(c.halt)
	WaitFor(t, "the container's PID 1", func() bool { c.leader = initOf(cmd.Process.Pid); return c.leader > 0 })
	WaitFor(t, "the container's services", func() bool {
		out, _ := c.Run(t.Context(), "systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	})
	return c
}

// halt ends PID 1, and with it everything in the container.
func (c *Container) halt() {
	if c.t.Failed() {
		out, _ := c.Run(context.Background(), "journalctl", "--no-pager", "-n", "60", "-o", "cat")
		c.t.Logf("the container's journal:\n%s", out)
	}
	if p, err := os.FindProcess(c.leader); err == nil && c.leader > 1 {
		_ = p.Kill()
	}
}

// initOf returns the child of a process that is PID 1 of a name space of its own, or 0.
func initOf(pid int) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(children)) {
		status, _ := os.ReadFile("/proc/" + f + "/status")
		for line := range strings.Lines(string(status)) {
			if ids := strings.Fields(line); ids[0] == "NSpid:" && len(ids) == 3 && ids[2] == "1" {
				n, _ := strconv.Atoi(f)
				return n
			}
		}
	}
	return 0
}

// removeGroups removes the control groups of a container that has ended, deepest first.
func removeGroups(name string) {
	for _, h := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(h, name), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			_ = os.Remove(dirs[i])
		}
	}
}

// Command prepares a program to run in the container as root with a clean environment.
func (c *Container) Command(ctx context.Context, args ...string) *exec.Cmd {
	line := append([]string{"env", "-C", "/", "-i", "LANG=C.UTF-8", "HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, args...)
	if c.leader > 0 {
		line = append([]string{Tool(c.t, "nsenter"), "-t", strconv.Itoa(c.leader), "-a"}, line...)
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Run runs a program in the container as root and returns its output, stderr included.
func (c *Container) Run(ctx context.Context, args ...string) (string, error) {
	return output(c.Command(ctx, args...))
}

// Must is Run for what has to succeed.
func (c *Container) Must(args ...string) string {
	c.t.Helper()
	out, err := c.Run(c.t.Context(), args...)
	if err != nil {
		c.t.Fatalf("in the container: %v", err)
	}
	return strings.TrimSpace(out)
}

// As is Must as an ordinary user, with the display given or none.
func (c *Container) As(user, display string, args ...string) string {
	c.t.Helper()
	return c.Must(append([]string{"runuser", "-u", user, "--", "env", "DISPLAY=" + display}, args...)...)
}

// Copy copies one file of this machine into the container, keeping its mode.
func (c *Container) Copy(src, dst string) {
	c.t.Helper()
	from, err := os.Open(src)
	if err != nil {
		c.t.Fatal(err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(from, dst, info.Mode().Perm())
}

// Write makes a file in the container.
func (c *Container) Write(dst, content string, mode os.FileMode) {
	c.t.Helper()
	c.write(strings.NewReader(content), dst, mode)
}

func (c *Container) write(from io.Reader, dst string, mode os.FileMode) {
	c.t.Helper()
	cmd := c.Command(c.t.Context(), "install", "-D", "-m", fmt.Sprintf("%o", mode), "/dev/stdin", dst)
	cmd.Stdin = from
	if _, err := output(cmd); err != nil {
		c.t.Fatal(err)
	}
}

// Path is where a path inside the container is seen from this machine.
func (c *Container) Path(inside string) string {
	if c.leader == 0 {
		return inside
	}
	return filepath.Join("/proc", strconv.Itoa(c.leader), "root", inside)
}

// WaitFor polls cond until it holds, or fails the test with what.
func (c *Container) WaitFor(what string, cond func() bool) {
	c.t.Helper()
	WaitFor(c.t, what, cond)
}
