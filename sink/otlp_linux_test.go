package sink

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stepaway/sink/encode"
)

// otelcol is a real OpenTelemetry Collector, which prints what it received.
type otelcol struct {
	t    *testing.T
	site *site
	port string
	cmd  *exec.Cmd
	out  *text
}

const otelConf = `
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:%s
        tls: {cert_file: %[2]s/server.pem, key_file: %[2]s/server.key, client_ca_file: %[2]s/ca.pem, min_version: "1.3"}
exporters:
  debug: {verbosity: detailed, sampling_initial: 1000000}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [debug]}
`

func newOtelcol(t *testing.T, s *site) *otelcol {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c := &otelcol{t: t, site: s, port: port, out: &text{}}
	check(t, os.WriteFile(s.path("otel.yaml"), fmt.Appendf(nil, otelConf, port, s.dir), 0o600))
	t.Cleanup(c.kill)
	c.start()
	return c
}

func (c *otelcol) start() {
	c.t.Helper()
	cache, err := os.UserCacheDir()
	check(c.t, err)
	c.cmd = exec.Command(filepath.Join(cache, "stepaway-test", "otelcol-0.120.0", "otelcol"), "--config", c.site.path("otel.yaml"))
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		c.t.Fatalf("%v; run `make deps`", err)
	}
	eventually(c.t, "the OpenTelemetry Collector listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+c.port)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

func (c *otelcol) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		c.cmd = nil
	}
}

var printedID = regexp.MustCompile(`-> log\.record\.uid: Str\(([0-9a-f-]{36})\)`)

func (c *otelcol) times() map[string]int {
	n := map[string]int{}
	for _, m := range printedID.FindAllStringSubmatch(c.out.String(), -1) {
		n[m[1]]++
	}
	return n
}

// TestOpenTelemetryGetsEveryEventOnce: a real collector reads every record and every attribute of the kind that it is.
func TestOpenTelemetryGetsEveryEventOnce(t *testing.T) {
	s := newSite(t)
	c := newOtelcol(t, s)
	for i, gzip := range []string{"false", "true"} {
		spec := s.spec(OTLP, "https://127.0.0.1:"+c.port, append(s.withCert(), "gzip: "+gzip, "batch: 60", `tls: "1.3"`)...)
		m := &memory{}
		es := entriesTo(400)[i*200 : i*200+200]
		m.add(es...)
		l, said := run(t, m, s.open(spec), spec)
		eventually(t, "everything acknowledged", m.done)
		eventually(t, "everything printed", func() bool { return len(c.times()) == (i+1)*200 })
		if st := l.Status(); st.Sent != 200 || st.Refused != 0 {
			t.Errorf("%+v\n%s", st, said)
		}
	}
	for id, n := range c.times() {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	e := entriesTo(1)[0]
	for _, want := range []string{"-> service.name: Str(stepaway)", "-> host.name: Str(ws-1)", "SeverityNumber: Warn(13)", "SeverityText: WARN",
		"-> stepaway.hash: Str(" + e.Hash + ")", "-> stepaway.seq: Int(1)", "-> stepaway.synced: Bool(true)", "-> stepaway.user: Str(user 1)",
		"-> stepaway.idle_ms: Int(60000)", "Timestamp: 2026-11-22 09:00:01.000000001 +0000 UTC", "Body: Str(" + encode.RowOf(e.Type).Title + ", user 1, on ws-1)"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("%s was not received", want)
		}
	}
}

// TestOpenTelemetryKilledInTheMiddle: what was not acknowledged is sent again; what was is in its output.
func TestOpenTelemetryKilledInTheMiddle(t *testing.T) {
	s := newSite(t)
	c := newOtelcol(t, s)
	spec := s.spec(OTLP, "https://127.0.0.1:"+c.port, append(s.withCert(), "batch: 50")...)
	m, es := &memory{}, entriesTo(2000)
	m.add(es...)
	l, said := run(t, m, s.open(spec), spec)
	kills := 0
	for ; kills < 3 && !m.done(); kills++ {
		seen := len(c.times())
		eventually(t, "more is printed", func() bool { return m.done() || len(c.times()) > seen+100 })
		c.kill()
		c.start()
	}
	eventually(t, "everything acknowledged", m.done)
	missing, twice, times := 0, 0, c.times()
	for _, e := range es {
		switch n := times[e.ID()]; n {
		case 0:
			missing++
		default:
			twice += n - 1
		}
	}
	if st := l.Status(); st.Sent != 2000 || missing > 0 {
		t.Errorf("%+v, %d missing\n%s", st, missing, said)
	}
	t.Logf("killed %d times while it took %d events: %d missing, %d there twice under the same id", kills, len(es), missing, twice)
}
