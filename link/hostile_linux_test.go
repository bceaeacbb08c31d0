package link

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv tells this test's own program what to be: "status" or "hostile", and the socket.
const childEnv = "LINK_TEST_CHILD"

func TestMain(m *testing.M) {
	if role, path, is := strings.Cut(os.Getenv(childEnv), " "); is {
		if err := child(role, path); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(role, path string) error {
	if role == "hostile" {
		return attack(path, hostileFrames)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, m := range []Message{helloStatus, ask} {
		if err := Write(c, m); err != nil {
			return err
		}
	}
	m, err := Read(c)
	if err != nil || m.Status == nil {
		return fmt.Errorf("heard %+v, %v", m, err)
	}
	return nil
}

const nobody = 65534

// asNobody prepares this program as a child of another user.
func asNobody(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	program := filepath.Join(publicDir(t), "child")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	f, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, self); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{childEnv + "=" + role + " " + path}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// TestKernelNamesThePeer: who speaks is what the kernel says of the process.
func TestKernelNamesThePeer(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), nil)
	cmd := asNobody(t, "status", path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := Peer{PID: int32(cmd.Process.Pid), UID: nobody}
	if got := see(h, func(h *fakeHost) []Peer { return h.peers }); len(got) != 1 || got[0].PID != want.PID || got[0].UID != want.UID {
		t.Errorf("the host saw %v, want %v", got, want)
	}
}

// TestDialTrustsOnlyRootAndSelf: a socket of somebody else is not spoken to.
func TestDialTrustsOnlyRootAndSelf(t *testing.T) {
	path := serve(t, newFakeHost(), NewOutbox("ab"), nil)
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if os.Geteuid() != 0 {
		return
	}
	// SO_PEERCRED of a listener is who called listen: a thread of another user does.
	theirs := filepath.Join(publicDir(t), "agent.sock")
	if err := os.Chmod(filepath.Dir(theirs), 0o777); err != nil {
		t.Fatal(err)
	}
	l := listenAs(t, nobody, theirs)
	defer l.Close()
	if c, err := Dial(theirs); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
		t.Errorf("a stranger's socket: %v, %v", c, err)
	}
}

// TestHostilePeers: another user's 200 connections and 10,000 frames, while a tray and status go on as always.
func TestHostilePeers(t *testing.T) {
	h := newFakeHost()
	path := serve(t, h, NewOutbox("ab"), nil)
	tray := connect(t, path, helloTray)
	until(t, "tray up", func() bool { return see(h, func(h *fakeHost) bool { return h.show != nil }) })
	show := see(h, func(h *fakeHost) func(State) { return h.show })

	cmd := asNobody(t, "hostile", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "begun" {
		t.Fatalf("the child says %q", lines.Text())
	}
	ended := make(chan string, 1)
	go func() { lines.Scan(); ended <- lines.Text() }()
	said, rounds := "", int64(0)
	var slowest time.Duration
	for said == "" {
		began := time.Now()
		rounds++
		tray.say(beat)
		show(State{Session: "c2", DeadlineMS: rounds})
		if m := tray.hear(); m.State == nil || m.State.DeadlineMS != rounds {
			t.Fatalf("the tray hears %+v, want round %d", m, rounds)
		}
		if m := statusOf(t, path); m.Status == nil {
			t.Fatalf("status hears %+v", m)
		}
		slowest = max(slowest, time.Since(began))
		select {
		case said = <-ended:
		case <-time.After(20 * time.Millisecond): // no faster than the tray's pace
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	var frames, refused int
	if n, _ := fmt.Sscanf(said, "%d frames, refused %d", &frames, &refused); n != 2 || frames < hostileFrames || refused == 0 {
		t.Errorf("the child says %q", said)
	}
	t.Logf("%s; %d rounds meanwhile, slowest %s", said, rounds, slowest)
	uids := map[uint32]bool{}
	for _, p := range see(h, func(h *fakeHost) []Peer { return h.peers }) {
		uids[p.UID] = true
	}
	if !uids[nobody] || !uids[0] || len(uids) != 2 {
		t.Errorf("the host saw the users %v", uids)
	}
}

// statusOf asks once; a full backlog is tried again, as the programs do.
func statusOf(t *testing.T, path string) Message {
	t.Helper()
	for end := time.Now().Add(waits); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			p := peer{t, c}
			defer c.Close()
			p.say(helloStatus, ask)
			return p.hear()
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// listenAs makes a socket on a thread that is another user, and throws the thread away.
func listenAs(t *testing.T, uid int, path string) net.Listener {
	t.Helper()
	type answer struct {
		l   net.Listener
		err error
	}
	out := make(chan answer)
	go func() {
		l, err := listenOnThread(uid, path)
		out <- answer{l, err}
	}()
	a := <-out
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.l
}

func listenOnThread(uid int, path string) (net.Listener, error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return nil, errno
	}
	return net.Listen("unix", path)
}
