package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	"stepaway/sink/encode"
)

// receiver is a real rsyslog with one of its TLS drivers.
type receiver struct {
	t      *testing.T
	site   *site
	driver string // ossl or gtls
	queue  string // lines for its ruleset
	port   string
	cmd    *exec.Cmd
	said   *bytes.Buffer
}

func newReceiver(t *testing.T, s *site, driver, queue string) *receiver {
	t.Helper()
	r := &receiver{t: t, site: s, driver: driver, queue: queue, port: "0"}
	check(t, os.MkdirAll(s.path("work"), 0o700))
	t.Cleanup(r.kill)
	r.start()
	return r
}

// rsyslogConf keeps every message as one line of JSON, its structured data parsed by rsyslog itself.
const rsyslogConf = `
global(workDirectory="%[1]s/work" maxMessageSize="64k" DefaultNetstreamDriver="%[2]s" DefaultNetstreamDriverCAFile="%[1]s/ca.pem"
  DefaultNetstreamDriverCertFile="%[1]s/server.pem" DefaultNetstreamDriverKeyFile="%[1]s/server.key")
module(load="mmpstrucdata")
module(load="imtcp" StreamDriver.Name="%[2]s" StreamDriver.Mode="1" StreamDriver.Authmode="x509/certvalid")
template(name="json" type="list") {
  constant(value="{") property(outname="host" name="hostname" format="jsonf") constant(value=",")
  property(outname="msgid" name="msgid" format="jsonf") constant(value=",") property(outname="pri" name="pri" format="jsonf") constant(value=",")
  property(outname="msg" name="msg" format="jsonf") constant(value=",\"data\":") property(name="$!all-json") constant(value="}\n") }
ruleset(name="take"%[4]s) { action(type="mmpstrucdata" sd_name.lowercase="off") action(type="omfile" file="%[1]s/out" template="json") }
input(type="imtcp" port="%[3]s" address="127.0.0.1" ruleset="take" listenPortFileName="%[1]s/port")
`

// start starts it on a port of its own choice, and later on the same again.
func (r *receiver) start() {
	r.t.Helper()
	conf := r.site.path("rsyslog.conf")
	check(r.t, os.WriteFile(conf, fmt.Appendf(nil, rsyslogConf, r.site.dir, r.driver, r.port, r.queue), 0o600))
	_ = os.Remove(r.site.path("port"))
	_ = os.Remove(r.site.path("pid"))
	r.said = &bytes.Buffer{}
	r.cmd = exec.Command("rsyslogd", "-n", "-f", conf, "-i", r.site.path("pid"))
	r.cmd.Stdout, r.cmd.Stderr = r.said, r.said
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("%v; run `make deps`", err)
	}
	eventually(r.t, "rsyslog listens", r.listens)
}

// listens finds out the port, which rsyslog tells only where it chose it, or connects to it.
func (r *receiver) listens() bool {
	if r.port == "0" {
		b, _ := os.ReadFile(r.site.path("port"))
		if len(b) == 0 {
			return false
		}
		r.port = strings.TrimSpace(string(b))
		return true
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func (r *receiver) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

func (r *receiver) url() string { return "tls://127.0.0.1:" + r.port }

// line is what rsyslog made of a message.
type line struct {
	Host, MsgID, Pri, Msg string
	Data                  struct {
		SD map[string]map[string]string `json:"rfc5424-sd"`
	}
}

func (r *receiver) lines() (ls []line) {
	r.t.Helper()
	b, err := os.ReadFile(r.site.path("out"))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	for _, text := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if text == "" {
			continue
		}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			continue // cut short by a kill
		}
		ls = append(ls, l)
	}
	return ls
}

// id finds the event's id as a reader of that kind of message does.
func (l line) id(t *testing.T) string {
	t.Helper()
	if l.MsgID != "IHE+RFC-3881" {
		return l.Data.SD["stepaway@0"]["id"]
	}
	var m struct {
		Object struct {
			ID string `xml:"ParticipantObjectID,attr"`
		} `xml:"ParticipantObjectIdentification"`
	}
	if err := xml.Unmarshal([]byte(strings.TrimPrefix(l.Msg, "\ufeff")), &m); err != nil {
		t.Fatalf("%v: %s", err, l.Msg)
	}
	return strings.TrimPrefix(m.Object.ID, "urn:uuid:")
}

// times counts how often each id is in the receiver's file.
func (r *receiver) times() map[string]int {
	n := map[string]int{}
	for _, l := range r.lines() {
		n[l.id(r.t)]++
	}
	return n
}

// has waits until so many lines are in the receiver's file, and then for every one of the entries.
func (r *receiver) has(es []encode.Entry) {
	r.t.Helper()
	eventually(r.t, "enough lines in the receiver's file", func() bool {
		b, _ := os.ReadFile(r.site.path("out"))
		return bytes.Count(b, []byte("\n")) >= len(es)
	})
	eventually(r.t, "everything in the receiver's file", func() bool { return r.missing(es) == 0 })
}

// missing counts entries that are not in the receiver's file.
func (r *receiver) missing(es []encode.Entry) (n int) {
	times := r.times()
	for _, e := range es {
		if times[e.ID()] == 0 {
			n++
		}
	}
	return n
}

// ackOf is what each driver can be asked for.
var ackOf = map[string]string{"ossl": AckNotify, "gtls": AckFIN}

// TestRsyslogGetsEveryEventOnce: both drivers, both kinds of message, every field as rsyslog parses it.
func TestRsyslogGetsEveryEventOnce(t *testing.T) {
	for driver, ack := range ackOf {
		for _, kind := range []Kind{Syslog, ATNA} {
			t.Run(fmt.Sprint(driver, " ", kind), func(t *testing.T) {
				noLeaks(t)
				s := newSite(t)
				r := newReceiver(t, s, driver, "")
				spec := s.spec(kind, r.url(), append(s.withCert(), "ack: "+ack, "batch: 50")...)
				m := &memory{}
				es := entriesTo(200)
				m.add(es...)
				l, said := run(t, m, s.open(spec), spec)
				eventually(t, "everything sent", m.done)
				r.has(es)
				for id, n := range r.times() {
					if n != 1 {
						t.Errorf("%s is there %d times", id, n)
					}
				}
				if st := l.Status(); st.State != "up" || st.Sent != 200 || st.Refused != 0 {
					t.Errorf("%+v\n%s", st, said)
				}
				for i, got := range r.lines() {
					want := es[i]
					if got.Host != "ws-1" || !strings.HasPrefix(got.Msg, "\ufeff") {
						t.Fatalf("%+v", got)
					}
					if kind == ATNA {
						if got.MsgID != "IHE+RFC-3881" || got.Pri != "84" && got.Pri != "85" || len(got.Data.SD) != 0 {
							t.Fatalf("%+v", got)
						}
						continue
					}
					sd := got.Data.SD["stepaway@0"]
					if got.MsgID != string(want.Type) || sd["type"] != string(want.Type) || sd["hash"] != want.Hash || sd["user"] != string(want.Session.User) ||
						sd["seq"] != fmt.Sprint(want.Seq) || sd["idle_ms"] != "60000" || got.Data.SD["timeQuality"]["isSynced"] != "1" {
						t.Fatalf("%+v, want %+v", got, want)
					}
				}
			})
		}
	}
}

// TestHostileTextThroughRsyslog: what no event may hold is one line at the receiver all the same, as it was.
func TestHostileTextThroughRsyslog(t *testing.T) {
	s := newSite(t)
	r := newReceiver(t, s, "ossl", "")
	var es []encode.Entry
	for i, text := range []string{`a"b\c]d`, `]`, "x\n<13>1 - - - - - - forged", "\u202egnp", "\x00\x1b[2J", `\"`, "é\U0001F512"} {
		e := anEvent(i + 1)
		e.Session.User = audit.Label(text)
		es = append(es, e)
	}
	check(t, s.open(s.spec(Syslog, r.url(), s.withCert()...)).Send(context.Background(), es))
	r.has(es)
	ls := r.lines()
	if len(ls) != len(es) {
		t.Fatalf("%d lines for %d events", len(ls), len(es))
	}
	for i, want := range []string{`a"b\c]d`, `]`, `x\u000a<13>1 - - - - - - forged`, `\u202egnp`, `\u0000\u001b[2J`, `\"`, "é\U0001F512"} {
		if got := ls[i].Data.SD["stepaway@0"]["user"]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestARefusedCertificateIsNoSuccess: with TLS 1.3 the client's first writes succeed before its certificate is looked at.
func TestARefusedCertificateIsNoSuccess(t *testing.T) {
	for driver, ack := range ackOf {
		for _, ack := range []string{ack, AckNone} {
			s, stranger := newSite(t), newSite(t)
			r := newReceiver(t, s, driver, "")
			for name, lines := range map[string][]string{"none": nil, "another CA's": stranger.withCert()} {
				err := s.open(s.spec(Syslog, r.url(), append(lines, "ack: "+ack)...)).Send(context.Background(), entriesTo(3))
				if err == nil || codeOf(err) == "slow" {
					t.Errorf("%s, ack %s, certificate %s: %v", driver, ack, name, err)
				}
			}
			if n := len(r.lines()); n != 0 {
				t.Errorf("%d events of a stranger taken", n)
			}
		}
	}
}

// TestRsyslogKilledInTheMiddle counts what a kill -9 costs: events that were written and not acknowledged are sent again, so
// in the end nothing is missing; ones that are there twice bear the same id.
func TestRsyslogKilledInTheMiddle(t *testing.T) {
	for driver, ack := range ackOf {
		t.Run(driver, func(t *testing.T) {
			s := newSite(t)
			r := newReceiver(t, s, driver, ` queue.type="Direct"`)
			spec := s.spec(Syslog, r.url(), append(s.withCert(), "ack: "+ack, "batch: 100")...)

			// Written, and in no file: the receiver stands still, its kernel takes everything.
			es := entriesTo(100)
			to := s.open(spec)
			c, err := to.(*syslogTo).dial(t.Context())
			check(t, err)
			check(t, r.cmd.Process.Signal(syscall.SIGSTOP))
			sent := make(chan error, 1)
			go func() { sent <- c.deliver(t.Context(), framesOf(es), ack) }()
			select {
			case err := <-sent:
				t.Fatalf("taken for acknowledged by a receiver that stands still: %v", err)
			case <-time.After(700 * time.Millisecond):
			}
			r.kill()
			if err = <-sent; err == nil {
				t.Fatal("taken for acknowledged by a receiver that was killed")
			}
			c.raw.Close()
			t.Logf("%s: killed before it read: %d of %d written events lost, not acknowledged (%v)", driver, r.missing(es), len(es), err)
			r.start()

			// In a loop, killed again and again.
			m, total := &memory{}, 4000
			es = entriesTo(total)
			m.add(es...)
			l, said := run(t, m, to, spec)
			kills := 0
			for ; kills < 5 && !m.done(); kills++ {
				time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
				r.kill()
				r.start()
			}
			eventually(t, "everything acknowledged", m.done)
			r.has(es)
			twice := 0
			for _, n := range r.times() {
				twice += n - 1
			}
			if st := l.Status(); st.Sent != int64(total) {
				t.Errorf("%+v\n%s", st, said)
			}
			t.Logf("%s: killed %d times while it took %d events: none missing, %d there twice under the same id", driver, kills, total, twice)
		})
	}
}

// TestWhatAnAcknowledgementMeans counts what is lost of acknowledged events when rsyslog is killed right after: with its
// default queue, which lies in memory, and with the queue that docs/delivery.md asks for.
func TestWhatAnAcknowledgementMeans(t *testing.T) {
	for driver, ack := range ackOf {
		for name, queue := range map[string]string{"in memory": ` queue.type="LinkedList"`, "direct": ` queue.type="Direct"`} {
			s := newSite(t)
			r := newReceiver(t, s, driver, queue)
			to := s.open(s.spec(Syslog, r.url(), append(s.withCert(), "ack: "+ack, "batch: 500")...))
			lost, acked := 0, 0
			for round := range 3 {
				es := entriesTo(900)[round*300 : round*300+300]
				if err := to.Send(context.Background(), es); err != nil {
					t.Fatalf("%s %s: %v", driver, name, err)
				}
				r.kill()
				acked += len(es)
				lost += r.missing(es)
				r.start()
			}
			t.Logf("%s, queue %s: %d of %d acknowledged events lost by kill -9 right after", driver, name, lost, acked)
			if name == "direct" && ack == AckNotify && lost > 0 {
				t.Errorf("%s: %d acknowledged events lost", driver, lost)
			}
		}
	}
}

// TestRsyslogGTLSEndsBare: the driver that ends without close_notify is not taken for an acknowledgement unless the site
// says so.
func TestRsyslogGTLSEndsBare(t *testing.T) {
	s := newSite(t)
	r := newReceiver(t, s, "gtls", "")
	err := s.open(s.spec(Syslog, r.url(), s.withCert()...)).Send(context.Background(), entriesTo(3))
	if codeOf(err) != "closed" {
		t.Errorf("%v", err)
	}
}
