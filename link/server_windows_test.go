package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"stepaway/packaging"
	"stepaway/session"
)

var myself = me()

// me is what the system says of this program in another way than the server asks.
func me() Peer {
	p := Peer{PID: int32(os.Getpid()), UID: session.NoUID}
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	var id uint32
	if err = errors.Join(err, windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &id)); err != nil {
		panic(err)
	}
	p.SID, p.Session = u.User.Sid.String(), fmt.Sprint(id)
	return p
}

var addresses atomic.Int64

// address is a pipe of the test's own.
func address(*testing.T) string {
	return fmt.Sprintf(`\\.\pipe\stepaway-test-%d-%d`, os.Getpid(), addresses.Add(1))
}

func access(t *testing.T) string {
	t.Helper()
	a, err := OwnAccess()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// dial connects without a look at who listens.
func dial(pipe string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), waits)
	defer cancel()
	return winio.DialPipeAccessImpLevel(ctx, pipe, speak, winio.PipeImpLevelIdentification)
}

// listen makes a pipe without a server.
func listen(pipe string) (net.Listener, error) {
	access, err := OwnAccess()
	if err != nil {
		return nil, err
	}
	return listenPipe(pipe, access)
}

// checkGone has nothing to look at: a pipe is gone with its last handle.
func checkGone(*testing.T, string) {}

var handleCount = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetProcessHandleCount")

// descriptors counts the handles that this program has open. The first connection of all starts what serves the others.
func descriptors(t *testing.T) func() int {
	t.Helper()
	pipe := address(t)
	l, err := listen(pipe)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	c, err := dial(pipe)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()
	return func() int {
		var n uint32
		if ok, _, err := handleCount.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&n))); ok == 0 {
			t.Error(err)
		}
		return int(n)
	}
}

func TestListen(t *testing.T) {
	pipe := address(t)
	first, err := Listen(pipe, access(t), newFakeHost(), NewOutbox("ab"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(pipe, access(t), newFakeHost(), NewOutbox("ab")); !errors.Is(err, ErrAnswered) {
		t.Errorf("a second agent: %v", err)
	}
	first.listener.Close()
	again, err := Listen(pipe, access(t), newFakeHost(), NewOutbox("ab"))
	if err != nil {
		t.Fatalf("after an agent that ended: %v", err)
	}
	again.listener.Close()
	if Answered(pipe) {
		t.Error("a pipe that is gone answers")
	}
}

// TestDialLooksAtTheOwner: a pipe of somebody else is not spoken to.
func TestDialLooksAtTheOwner(t *testing.T) {
	for _, c := range []struct {
		owner string
		ok    bool
	}{{"SY", true}, {"BA", true}, {myself.SID, true}, {"S-1-5-21-1-2-3-1001", false}, {"NS", false}, {"IU", false}} {
		pipe := address(t)
		l, err := listenPipe(pipe, "O:"+c.owner+"D:(A;;FA;;;WD)")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				defer c.Close()
				c.Read(make([]byte, 1))
			}
		}()
		conn, err := Dial(pipe)
		if c.ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "it belongs to S-1-5-") {
			t.Errorf("a pipe of %s: %v", c.owner, err)
		}
		if err == nil {
			conn.Close()
		}
		l.Close()
	}
}

// TestOtherProcess: the process that the system names is the one that connected.
func TestOtherProcess(t *testing.T) {
	h := newFakeHost()
	pipe := serve(t, h, NewOutbox("ab"), nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+pipe)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := see(h, func(h *fakeHost) []Peer { return h.peers })
	if len(got) != 1 || int(got[0].PID) != cmd.Process.Pid || got[0].SID != myself.SID || got[0].Session != myself.Session {
		t.Errorf("the host saw %v", got)
	}
}

// TestHostileProgram: another program of the same user with 200 connections and 2,000 frames, while the tray goes on as always.
func TestHostileProgram(t *testing.T) {
	h := newFakeHost()
	pipe := serve(t, h, NewOutbox("ab"), nil)
	tray := connect(t, pipe, helloTray)
	until(t, "tray up", func() bool { return see(h, func(h *fakeHost) bool { return h.show != nil }) })
	show := see(h, func(h *fakeHost) func(State) { return h.show })
	ended := make(chan struct{})
	go func() { defer close(ended); attack(pipe, hostileFrames/5) }()
	for round := int64(1); ; round++ {
		tray.say(beat)
		show(State{Session: "c2", DeadlineMS: round})
		if m := tray.hear(); m.State == nil || m.State.DeadlineMS != round {
			t.Fatalf("the tray hears %+v, want round %d", m, round)
		}
		select {
		case <-ended:
			t.Logf("%d rounds meanwhile", round)
			until(t, "an answer", func() bool { return askStatus(pipe) == nil }) // once the last connections are seen to have ended
			return
		case <-time.After(20 * time.Millisecond): // no faster than the tray's pace
		}
	}
}

// childEnv has this test's program ask that pipe for the status.
const childEnv = "LINK_TEST_CHILD"

func TestMain(m *testing.M) {
	if pipe := os.Getenv(childEnv); pipe != "" {
		if err := askStatus(pipe); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func askStatus(pipe string) error {
	c, err := Open(pipe, Hello{Role: RoleStatus})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Say(ask); err != nil {
		return err
	}
	m, err := c.Hear()
	if err == nil && m.Status == nil {
		err = fmt.Errorf("heard %+v", m)
	}
	return err
}

// TestAccessOfThePipe: what the system keeps of the descriptor, right by right.
func TestAccessOfThePipe(t *testing.T) {
	own, err := OwnAccess()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sddl, want string }{
		{packaging.LinkSDDL(), "O:BAD:P(D;;FA;;;NU)(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x12008b;;;IU)(A;;0x12008b;;;" + packaging.ServiceSID(packaging.CourierService) + ")"},
		{own, "O:" + myself.SID + "D:P(D;;FA;;;NU)(A;;FA;;;SY)(A;;FA;;;" + myself.SID + ")"},
	} {
		pipe := address(t)
		s, err := Listen(pipe, c.sddl, newFakeHost(), NewOutbox("ab"))
		if err != nil {
			t.Fatal(err)
		}
		go s.listener.Accept()
		conn, err := dial(pipe)
		if err != nil {
			t.Fatal(err)
		}
		h, err := pipeOf(conn)
		if err != nil {
			t.Fatal(err)
		}
		sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		if got := sd.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		conn.Close()
		s.listener.Close()
	}
}

// TestPeersMayNotListen: what Dial asks for is what the pipe gives to a peer, and making the pipe a second time is no part.
func TestPeersMayNotListen(t *testing.T) {
	const createInstance = windows.FILE_APPEND_DATA // FILE_CREATE_PIPE_INSTANCE
	if speak&createInstance != 0 || speak != 0x12008b {
		t.Errorf("peers ask for %#x", speak)
	}
}
