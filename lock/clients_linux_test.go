package lock

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"stepaway/policy"
	"stepaway/proc"
	"stepaway/session"
	"stepaway/test/rig"
	"stepaway/x11"
)

// beWindow shows a window that closes when it is asked to, and by nothing else.
func beWindow() {
	signal.Ignore(syscall.SIGTERM)
	c := ownScreen()
	w, _ := c.CreateWindow(x11.Window{Width: 300, Height: 200})
	protocols, _ := c.InternAtom("WM_PROTOCOLS")
	del, _ := c.InternAtom("WM_DELETE_WINDOW")
	_ = c.ChangeProperty(w, protocols, x11.AtomAtom, 32, binary.LittleEndian.AppendUint32(nil, del))
	_ = c.MapWindow(w)
	_ = c.Sync()
	_ = os.WriteFile(os.Getenv("HOME")+"/shown", nil, 0o644)
	for {
		e, err := c.Next(context.Background())
		if err != nil {
			panic(err)
		}
		if e.Code&0x7f == x11.ClientMessage {
			_ = os.WriteFile(os.Getenv("HOME")+"/asked", nil, 0o644)
			os.Exit(0)
		}
	}
}

// ehr is where the clients of these tests lie.
const ehr = "/opt/example-ehr/bin/"

func (b *bench) install(name string) string {
	b.Helper()
	b.c.Must("install", "-D", self, ehr+name)
	return ehr + name
}

// count returns how many processes of a user run an executable, replaced or not.
func count(uid uint32, exe string) (n int) {
	all, _ := proc.All()
	for _, pid := range all {
		if p, err := proc.Read(pid); err == nil && p.UID == uid && p.Exe == exe && p.Alive() {
			n++
		}
	}
	return n
}

func (b *bench) waitCount(uid uint32, exe string, n int) {
	b.Helper()
	b.c.WaitFor(fmt.Sprint(n, " of ", exe), func() bool { return count(uid, exe) == n })
}

func (b *bench) closeClients(s session.Session, wantLeft int, want string, clients ...policy.Client) {
	b.Helper()
	var took []ClientStep
	left := b.l.CloseClients(b.Context(), s, clients, func(st ClientStep) { took = append(took, st) })
	if got := stepsOf(took); left != wantLeft || got != want {
		b.Errorf("left %d, %q; want %d, %q", left, got, wantLeft, want)
	}
}

const (
	nurse  = 1000
	doctor = 1001
)

func sleeper(path string) string { return "LOCK_TEST_ROLE=sleep " + path + " & " }

func TestClientsAreAskedThenEnded(t *testing.T) {
	inContainer(t, func(b *bench) {
		polite, stubborn := b.install("polite"), b.install("stubborn")
		b.c.Must("ln", "-s", polite, "/opt/client")
		s := b.desktop(sleeper(polite), sleeper(polite), "LOCK_TEST_ROLE=stubborn "+stubborn+" &")
		b.waitCount(nurse, polite, 2)
		b.waitCount(nurse, stubborn, 1)
		time.Sleep(300 * time.Millisecond) // until it ignores the signal
		b.closeClients(s, 0, "one:close:2 one:closed:2 two:close:1 two:ended:1",
			policy.Client{Name: "one", Paths: []string{"/opt/client"}, AtDeadline: policy.Close, Grace: time.Minute},
			policy.Client{Name: "two", Paths: []string{stubborn}, AtDeadline: policy.Close, Grace: time.Second})
	})
}

func TestClientWhoseGraceIsCutShortIsNotEnded(t *testing.T) {
	inContainer(t, func(b *bench) {
		stubborn := b.install("stubborn")
		s := b.desktop("LOCK_TEST_ROLE=stubborn " + stubborn + " &")
		b.waitCount(nurse, stubborn, 1)
		time.Sleep(300 * time.Millisecond) // until it ignores the signal
		ctx, cancel := context.WithCancel(b.Context())
		c := policy.Client{Name: "one", Paths: []string{stubborn}, AtDeadline: policy.Close, Grace: time.Hour}
		left := b.l.CloseClients(ctx, s, []policy.Client{c}, func(st ClientStep) {
			if st.Code == ClientAsked {
				cancel() // the service is stopped
			}
		})
		if left != 1 || count(nurse, stubborn) != 1 {
			b.Errorf("left %d, running %d", left, count(nurse, stubborn))
		}
	})
}

func TestClientEndedAtOnceLeftAndReplaced(t *testing.T) {
	inContainer(t, func(b *bench) {
		ended, left, replaced := b.install("ended"), b.install("left"), b.install("replaced")
		s := b.desktop("LOCK_TEST_ROLE=stubborn "+ended+" &", sleeper(left), sleeper(replaced))
		b.waitCount(nurse, ended, 1)
		b.waitCount(nurse, replaced, 1)
		b.c.Must("rm", replaced)
		b.install("replaced")
		b.closeClients(s, 0, "a:ended:1 c:close:1 c:closed:1",
			policy.Client{Name: "a", Paths: []string{ended}, AtDeadline: policy.End, Grace: time.Hour},
			policy.Client{Name: "b", Paths: []string{left}, AtDeadline: policy.Leave},
			policy.Client{Name: "c", Paths: []string{replaced}, AtDeadline: policy.Close, Grace: time.Minute})
		b.waitCount(nurse, left, 1)
	})
}

func TestClientThatComesBack(t *testing.T) {
	inContainer(t, func(b *bench) {
		thrice, always := b.install("thrice"), b.install("always")
		s := b.desktop("(for i in 1 2 3; do LOCK_TEST_ROLE=sleep "+thrice+"; done) &",
			"(while :; do LOCK_TEST_ROLE=sleep "+always+"; done) &")
		b.waitCount(nurse, thrice, 1)
		b.waitCount(nurse, always, 1)
		end := func(name, path string) policy.Client {
			return policy.Client{Name: name, Paths: []string{path}, AtDeadline: policy.End}
		}
		b.closeClients(s, 0, "a:ended:1 a:ended:1 a:ended:1", end("a", thrice))
		b.closeClients(s, 1, "b:ended:1 b:ended:1 b:ended:1 b:ended:1 b:ended:1 b:failed:1", end("b", always))
	})
}

func TestOthersProcessesAreNotTouched(t *testing.T) {
	inContainer(t, func(b *bench) {
		client := b.install("client")
		b.c.Must("install", "-o", "nurse", self, "/home/nurse/client")
		background := "#!/bin/bash\n" + sleeper(client) + "\nexec sleep infinity\n"
		b.c.Session("doctor", background, "-E", "XDG_SESSION_TYPE=tty")
		b.c.Session("nurse", background, "-E", "XDG_SESSION_TYPE=tty")
		s := b.desktop(sleeper(client), sleeper("$HOME/client"))
		b.waitCount(nurse, client, 2)
		b.waitCount(doctor, client, 1)
		b.waitCount(nurse, "/home/nurse/client", 1)
		b.closeClients(s, 0, "x:ended:1", policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.End})
		if n := count(nurse, client); n != 1 {
			b.Errorf("%d clients in the user's other session, want 1", n)
		}
		if count(doctor, client) != 1 || count(nurse, "/home/nurse/client") != 1 {
			b.Error("another user's client, or another file of the same name, was ended")
		}
		s.Scope = "" // where it is not known, user and executable still decide
		b.closeClients(s, 0, "x:ended:1", policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.End})
		if count(doctor, client) != 1 || count(nurse, "/home/nurse/client") != 1 {
			b.Error("without a scope: another user's client, or another file of the same name, was ended")
		}
	})
}

func TestClientOfTheUsersServiceManager(t *testing.T) {
	inContainer(t, func(b *bench) {
		client := b.install("client")
		s := b.desktop()
		run := []string{"systemd-run", "-q", "--user", "-M", "nurse@", "-E", "LOCK_TEST_ROLE=sleep"}
		b.c.Must(append(run, "-E", "DISPLAY=:5.0", client)...)
		b.c.Must(append(run, "-E", "DISPLAY=:77", client)...)
		b.waitCount(nurse, client, 2)
		b.closeClients(s, 0, "x:ended:1", policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.End})
		b.waitCount(nurse, client, 1)
	})
}

func TestWindowIsAskedToClose(t *testing.T) {
	inContainer(t, func(b *bench) {
		client := b.install("client")
		s := b.desktop("LOCK_TEST_ROLE=window " + client + " &")
		b.waitFile("shown")
		time.Sleep(300 * time.Millisecond) // the window manager frames it
		b.closeClients(s, 0, "x:close:1 x:closed:1",
			policy.Client{Name: "x", Paths: []string{client}, AtDeadline: policy.Close, Grace: time.Minute})
		b.waitFile("asked")
	})
}

func TestServerThatNeverAnswersIsNoProofAndDoesNotHang(t *testing.T) {
	// a display's name is a socket in a directory that all may write
	number, path := 0, ""
	var ln net.Listener
	for number = 500 + os.Getpid()%500; ln == nil; number++ {
		path = fmt.Sprintf("/tmp/.X11-unix/X%d", number)
		_ = os.MkdirAll(filepath.Dir(path), 0o1777)
		ln, _ = net.Listen("unix", path)
	}
	defer ln.Close()
	number--
	s := session.Session{ID: "x", UID: uint32(os.Getuid()), Kind: session.X11, Display: fmt.Sprintf(":%d", number)}
	l := New(Options{RungWait: 100 * time.Millisecond})
	began := time.Now()
	got := l.Secure(t.Context(), s, Want{}, nil)
	if took := time.Since(began); got != policy.ProofNone || took > rig.Patience/2 {
		t.Errorf("proof %s after %v", got, took)
	}
}
