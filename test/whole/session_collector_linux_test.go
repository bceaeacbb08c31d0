package whole

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/link"
	"stepaway/test/rig"
)

// The collector is killed while events flow, and comes back: every event arrives, once and in order.
func TestSessionCollectorKilled(t *testing.T) {
	s := open(t, bare)
	s.run()
	s.await(audit.WarningShown, 1)
	first := s.collector
	s.kill(first.PID())
	s.ended(first)
	s.xdo("key", "a")
	s.phase(link.Active)
	s.phase(link.Warned)
	s.xdo("key", "a")
	s.phase(link.Secured)
	s.serve()
	proved := s.await(audit.LockProved, 1)
	list := s.events()
	s.follows(list, audit.AgentStart, audit.WarningShown, audit.WarningCleared, audit.WarningShown, audit.WarningCleared,
		audit.WarningShown, audit.LockRequested, audit.LockProved)
	s.onTime(only(list, audit.LockRequested)[0], proved)
	for what, n := range map[audit.Type]int{audit.WarningShown: 3, audit.WarningCleared: 2, audit.LockRequested: 1, audit.SpoolGap: 0} {
		if got := len(only(list, what)); got != n {
			t.Errorf("%d %s, want %d", got, what, n)
		}
	}
	s.whole()
	if said := log(s.agent); strings.Count(said, "events not delivered") != 1 || strings.Count(said, "delivered again") != 1 {
		t.Errorf("the courier's log does not say once that the collector was gone and once that it is back")
	}
}

// impostor takes the collector's place, with its certificate, and has each connection served as badly as answer does.
func (s *site) impostor(answer func(net.Conn)) (taken func() int) {
	s.t.Helper()
	if err := s.collector.Stop(20 * time.Second); err != nil {
		s.t.Fatal(err)
	}
	pair := s.path("collector/server.pem")
	cert, err := tls.LoadX509KeyPair(pair, pair)
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := tls.Listen("tcp", s.address, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	if err != nil {
		s.t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	s.t.Cleanup(func() { l.Close(); all.Wait() })
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// garbage is bytes that are not HTTP, for as long as somebody reads them.
func garbage(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, err := io.WriteString(c, strings.Repeat("\x00\xffHTTP/9.9 200 200 200\r\n\r\n{", 40)); err != nil {
			return
		}
	}
}

// nonsense is a proper answer of HTTP that acknowledges nothing in words of its own.
func nonsense(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	q, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, q.Body)
	const body = `{"last": "all of it", "sig": "trust me"}`
	_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// A collector that talks nonsense: the desktop locks on time, the courier says what is wrong, once, and keeps all.
func TestSessionCollectorTalksGarbage(t *testing.T)  { nonsensical(t, garbage, "unreachable") }
func TestSessionCollectorTalksNonsense(t *testing.T) { nonsensical(t, nonsense, "answer") }

func nonsensical(t *testing.T, answer func(net.Conn), code string) {
	s := open(t, bare)
	taken := s.impostor(answer)
	s.run()
	s.phase(link.Secured)
	rig.WaitFor(t, "several tries", func() bool { return taken() >= 4 })
	s.courierSays(code)
	s.onTimeInTheSpool()
	if n := strings.Count(log(s.agent), "events not delivered"); n != 1 {
		t.Errorf("%d lines for one trouble:\n%s", n, log(s.agent))
	}
}

// A collector that takes everything and never answers.
func TestSessionCollectorNeverAnswers(t *testing.T) {
	s := open(t, bare)
	taken := s.impostor(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	s.run()
	s.phase(link.Secured)
	s.onTimeInTheSpool()
	s.courierSays("slow")
	if taken() == 0 {
		t.Error("nothing came to the collector")
	}
	if n := strings.Count(log(s.agent), "events not delivered"); n != 1 {
		t.Errorf("%d lines for one trouble:\n%s", n, log(s.agent))
	}
}

// courierSays waits until the courier's status names the trouble with the collector, and the agent's status too.
func (s *site) courierSays(code string) {
	s.t.Helper()
	said := ""
	rig.WaitFor(s.t, "the courier's status to say "+code, func() bool {
		said, _, _ = s.tool("stepaway-courier", "status", "--state", s.path("state"))
		return strings.Contains(said, code) && strings.Contains(said, "https://"+s.address)
	})
	rig.WaitFor(s.t, "the agent's status to say "+code, func() bool {
		out, _, _ := s.tool("stepaway-agent", "status", "--session", "--state", s.path("state"))
		return strings.Contains(out, code)
	})
}

// onTimeInTheSpool checks the lock by the events that wait on this machine.
func (s *site) onTimeInTheSpool() {
	s.t.Helper()
	var list []audit.Event
	rig.WaitFor(s.t, "the lock in the spool", func() bool {
		list = parseEvents(s.t, s.must("stepaway-courier", "audit", "export", "--state", s.path("state")))
		return len(only(list, audit.LockProved)) == 1
	})
	s.onTime(only(list, audit.LockRequested)[0], only(list, audit.LockProved)[0])
	if out := s.must("stepaway-courier", "audit", "verify", "--state", s.path("state")); !strings.Contains(out, "each as it was written") {
		s.t.Errorf("audit verify: %s", out)
	}
}
