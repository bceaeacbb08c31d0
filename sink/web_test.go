package sink

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stepaway/audit"
)

// repository stands in for a FHIR server: it takes AuditEvents as one does, singly and in batches, and says about each what
// the test wants it to.
type repository struct {
	mu     sync.Mutex
	ids    map[string]int
	status func(id string) string // of one event; nil: 201
	asked  int
	header http.Header
	body   string
}

type anAuditEvent struct {
	ResourceType string
	Entity       []struct {
		What struct{ Identifier struct{ Value string } }
	}
}

func (r *repository) take(e anAuditEvent) string {
	id := strings.TrimPrefix(e.Entity[0].What.Identifier.Value, "urn:uuid:")
	if r.status != nil {
		if s := r.status(id); s != "201 Created" {
			return s
		}
	}
	if r.ids == nil {
		r.ids = map[string]int{}
	}
	r.ids[id]++
	return "201 Created"
}

func (r *repository) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	r.header = req.Header.Clone()
	body, _ := io.ReadAll(req.Body)
	r.body += string(body)
	rw.Header().Set("Content-Type", fhirJSON)
	if req.Method != "POST" || req.Header.Get("Content-Type") != fhirJSON {
		rw.WriteHeader(405)
		return
	}
	switch req.URL.Path {
	case "/r4/AuditEvent":
		var e anAuditEvent
		if json.Unmarshal(body, &e) != nil || e.ResourceType != "AuditEvent" {
			rw.WriteHeader(400)
			return
		}
		code := 0
		fmt.Sscan(r.take(e), &code)
		rw.WriteHeader(code)
	case "/r4":
		var b struct {
			ResourceType, Type string
			Entry              []struct {
				Resource anAuditEvent
				Request  struct{ Method, URL string }
			}
		}
		if json.Unmarshal(body, &b) != nil || b.ResourceType != "Bundle" || b.Type != "batch" {
			rw.WriteHeader(400)
			return
		}
		answers := []string{}
		for _, e := range b.Entry {
			if e.Request.Method != "POST" || e.Request.URL != "AuditEvent" {
				rw.WriteHeader(400)
				return
			}
			answers = append(answers, fmt.Sprintf(`{"response":{"status":%q,"location":"AuditEvent/1/_history/1","etag":"W/\"1\""}}`, r.take(e.Resource)))
		}
		fmt.Fprintf(rw, `{"resourceType":"Bundle","type":"batch-response","entry":[%s]}`, strings.Join(answers, ","))
	default:
		rw.WriteHeader(404)
	}
}

func (r *repository) times() (n, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.ids {
		n, most = n+1, max(most, c)
	}
	return n, most
}

// TestFHIRTakesEveryEventOnce by both forms, while now and then it says that it is busy.
func TestFHIRTakesEveryEventOnce(t *testing.T) {
	for _, form := range []string{Batch, Single} {
		t.Run(form, func(t *testing.T) {
			noLeaks(t)
			s := newSite(t)
			tries := map[string]int{}
			r := &repository{status: func(id string) string {
				if tries[id]++; tries[id] == 1 && id[0] == '7' {
					return "503 Service Unavailable"
				}
				return "201 Created"
			}}
			spec := s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4/", "form: "+form, "batch: 40")
			m := &memory{}
			m.add(entriesTo(200)...)
			l, said := run(t, m, s.open(spec), spec)
			eventually(t, "everything acknowledged", m.done)
			if n, most := r.times(); n != 200 || most != 1 {
				t.Errorf("%d events, one %d times\n%s", n, most, said)
			}
			if st := l.Status(); st.Sent != 200 || st.Refused != 0 || st.State != "up" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestOneRefusedEventHoldsUpNothing: it is counted and named in the log, and the others arrive once.
func TestOneRefusedEventHoldsUpNothing(t *testing.T) {
	for _, form := range []string{Batch, Single} {
		s := newSite(t)
		es := entriesTo(90)
		bad := map[string]bool{es[0].ID(): true, es[44].ID(): true, es[89].ID(): true}
		r := &repository{status: func(id string) string {
			if bad[id] {
				return "422 Unprocessable Entity"
			}
			return "201 Created"
		}}
		spec := s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4", "form: "+form, "batch: 30")
		m := &memory{}
		m.add(es...)
		l, said := run(t, m, s.open(spec), spec)
		eventually(t, "everything dealt with", m.done)
		if n, most := r.times(); n != 87 || most != 1 {
			t.Errorf("%s: %d events, one %d times", form, n, most)
		}
		if st := l.Status(); st.Sent != 87 || st.Refused != 3 || !strings.Contains(said.String(), es[44].ID()) {
			t.Errorf("%s: %+v\n%s", form, st, said)
		}
	}
}

// TestAReceiverThatRefusesEverythingLosesNothing: that is more likely the wrong receiver.
func TestAReceiverThatRefusesEverythingLosesNothing(t *testing.T) {
	s := newSite(t)
	var right atomic.Bool
	r := &repository{status: func(string) string {
		if right.Load() {
			return "201 Created"
		}
		return "400 Bad Request"
	}}
	for _, form := range []string{Batch, Single} {
		right.Store(false)
		spec := s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4", "form: "+form, "batch: 30")
		m := &memory{}
		m.add(entriesTo(60)...)
		l, _ := run(t, m, s.open(spec), spec)
		eventually(t, "refused", func() bool { return l.Status().Code == "refused" })
		right.Store(true)
		eventually(t, "everything acknowledged", m.done)
		if st := l.Status(); st.Sent != 60 || st.Refused != 0 || st.State != "up" || st.Code != "" {
			t.Errorf("%+v", st)
		}
	}
}

// TestALimitOnSizeIsFound: where a proxy takes small requests only, smaller ones are sent.
func TestALimitOnSizeIsFound(t *testing.T) {
	s := newSite(t)
	r := &repository{}
	spec := s.spec(FHIR, s.serve(nil, func(rw http.ResponseWriter, req *http.Request) {
		if req.ContentLength > 20_000 {
			rw.WriteHeader(413)
			return
		}
		r.ServeHTTP(rw, req)
	})+"/r4", "batch: 100")
	check(t, s.open(spec).Send(context.Background(), entriesTo(100)))
	if n, most := r.times(); n != 100 || most != 1 {
		t.Errorf("%d events, one %d times", n, most)
	}
}

func answerWith(status int, kind, body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", kind)
		rw.WriteHeader(status)
		io.WriteString(rw, body)
	}
}

// TestHostileAnswers: whatever a receiver answers, nothing but the acknowledgement of its protocol counts, and it takes
// neither long nor much.
func TestHostileAnswers(t *testing.T) {
	noLeaks(t)
	s := newSite(t)
	endless := func(pause time.Duration) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, strings.Repeat(" ", 1000)); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				time.Sleep(pause)
			}
		}
	}
	redirected := make(chan bool, 100)
	elsewhere := s.serve(nil, func(http.ResponseWriter, *http.Request) { redirected <- true })
	five := func(status string) string {
		e := fmt.Sprintf(`{"response":{"status":%q}}`, status)
		return `{"resourceType":"Bundle","type":"batch-response","entry":[` + strings.Repeat(e+",", 4) + e + "]}"
	}
	type answers map[string]struct {
		answer http.HandlerFunc
		code   string
	}
	any := answers{
		"endless":           {endless(0), "answer"},
		"endless and slow":  {endless(50 * time.Millisecond), "answer|slow"},
		"header after ages": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "slow"},
		"body after ages": {func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(201)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "slow"},
		"huge header": {func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X", strings.Repeat("x", 1<<20)) }, "unreachable"},
		"hangs up":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
		"redirect": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, elsewhere, http.StatusTemporaryRedirect)
		}, "redirect"},
		"moved": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, elsewhere, http.StatusMovedPermanently)
		}, "redirect"},
		"202": {answerWith(202, "", ""), "answer"},
		"204": {answerWith(204, "", ""), "answer"},
		"302": {answerWith(302, "", ""), "redirect"},
		"400": {answerWith(400, "", ""), "refused"},
		"401": {answerWith(401, "", ""), "denied"},
		"403": {answerWith(403, "", ""), "denied"},
		"404": {answerWith(404, "", strings.Repeat("x", 1<<20)), "answer"},
		"429": {answerWith(429, "", ""), "busy"},
		"500": {answerWith(500, "", ""), "answer"},
		"503": {answerWith(503, "", ""), "busy"},
	}
	json200 := func(body string) http.HandlerFunc { return answerWith(200, "application/json", body) }
	garbage := answers{
		"huge":         {json200(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`), "answer"},
		"garbage":      {json200("\x00\xff garbage"), "answer"},
		"null":         {json200("null"), "answer"},
		"array":        {json200("[]"), "answer"},
		"deep":         {json200(strings.Repeat("[", 60_000)), "answer"},
		"deep objects": {json200(strings.Repeat(`{"a":`, 12_000)), "answer"},
		"cut short":    {json200(`{"partialSuccess":`), "answer"},
		"a login page": {answerWith(200, "text/html", "<html>log in</html>"), "answer"},
		"empty page":   {answerWith(200, "text/html", ""), "answer"},
	}
	for kind, more := range map[string]answers{
		"fhir batch": {
			"201":                {answerWith(201, fhirJSON, ""), "answer"},
			"empty":              {json200(""), "answer"},
			"object":             {json200("{}"), "answer"},
			"our own bundle":     {json200(strings.Replace(five("201"), "batch-response", "batch", 1)), "answer"},
			"too few":            {json200(strings.Replace(five("201"), `{"response":{"status":"201"}},`, "", 1)), "answer"},
			"too many":           {json200(strings.Replace(five("201"), "[", `[{"response":{"status":"201"}},`, 1)), "answer"},
			"no status":          {json200(five("")), "answer"},
			"200 in every entry": {json200(five("200 OK")), "answer"},
			"2010":               {json200(five("2010")), "answer"},
			"500 in every entry": {json200(five("500")), "answer"},
			"400 in every entry": {json200(five("400")), "refused"},
		},
		"fhir single": {"200": {answerWith(200, fhirJSON, "{}"), "answer"}},
		"otlp": {
			"201":                {answerWith(201, "application/json", "{}"), "answer"},
			"all rejected":       {json200(`{"partialSuccess":{"rejectedLogRecords":"5","errorMessage":"no"}}`), "refused"},
			"more than all":      {json200(`{"partialSuccess":{"rejectedLogRecords":"5000000000"}}`), "refused"},
			"negative":           {json200(`{"partialSuccess":{"rejectedLogRecords":"-1"}}`), "answer"},
			"no number":          {json200(`{"partialSuccess":{"rejectedLogRecords":{}}}`), "answer"},
			"larger than 64 bit": {json200(`{"partialSuccess":{"rejectedLogRecords":"99999999999999999999"}}`), "answer"},
			"two":                {json200(`{}{}`), "answer"},
		},
	} {
		for _, set := range []answers{any, garbage, more} {
			for name, c := range set {
				t.Run(kind+" "+name, func(t *testing.T) {
					spec := s.spec(OTLP, s.serve(nil, c.answer))
					if form, fhir := strings.CutPrefix(kind, "fhir "); fhir {
						spec = s.spec(FHIR, s.serve(nil, c.answer)+"/r4", "form: "+form)
					}
					to := s.open(spec).(*web)
					to.client.Timeout = 700 * time.Millisecond
					began := time.Now()
					err := to.Send(context.Background(), entriesTo(5))
					if !strings.Contains("|"+c.code+"|", "|"+codeOf(err)+"|") {
						t.Errorf("%v, want %s", err, c.code)
					}
					if took := time.Since(began); took > 20*time.Second {
						t.Errorf("took %v", took)
					}
				})
			}
		}
	}
	if len(redirected) > 0 {
		t.Error("a redirect was followed")
	}
}

// TestStrangersAreNotSpokenTo: what is not the receiver that the site named gets nothing, by any kind of sink.
func TestStrangersAreNotSpokenTo(t *testing.T) {
	s, stranger := newSite(t), newSite(t)
	issue := func(of *site, change func(*x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{of.issue("case", change)}}
	}
	cbc := issue(s, nil)
	cbc.MaxVersion, cbc.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	old := issue(s, nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	twelve := issue(s, nil)
	twelve.MaxVersion = tls.VersionTLS12
	demanding := issue(s, nil)
	demanding.ClientAuth, demanding.ClientCAs = tls.RequireAndVerifyClientCert, s.pool()
	for name, c := range map[string]struct {
		config *tls.Config
		lines  []string
		good   bool
	}{
		"as it should be":        {issue(s, nil), nil, true},
		"TLS 1.2":                {twelve, nil, true},
		"TLS 1.2 and 1.3 wanted": {twelve, []string{`tls: "1.3"`}, false},
		"TLS 1.1":                {old, nil, false},
		"no AEAD":                {cbc, nil, false},
		"another CA":             {issue(stranger, nil), nil, false},
		"another name": {issue(s, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"other.example"}, nil
		}), nil, false},
		"another name, expected": {issue(s, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"other.example"}, nil
		}), []string{"server_name: other.example"}, true},
		"name in CN only": {issue(s, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames, c.IPAddresses = "127.0.0.1", nil, nil
		}), nil, false},
		"expired":       {issue(s, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), nil, false},
		"not yet valid": {issue(s, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), nil, false},
		"a client's certificate": {issue(s, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), nil, false},
		"ours is asked for and there is none": {demanding, nil, false},
		"ours is asked for and shown":         {demanding, s.withCert(), true},
		"ours of a stranger":                  {demanding, stranger.withCert(), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &repository{}
			url := s.serve(c.config, r.ServeHTTP)
			err := s.open(s.spec(FHIR, url+"/r4", c.lines...)).Send(context.Background(), entriesTo(2))
			if c.good && err != nil || !c.good && (codeOf(err) != "tls" || r.asked > 0) {
				t.Errorf("%v, asked %d times", err, r.asked)
			}
			got, ln := syslogStandIn(t, c.config)
			err = s.open(s.spec(Syslog, "tls://"+ln, c.lines...)).Send(context.Background(), entriesTo(2))
			if c.good && err != nil || !c.good && (codeOf(err) != "tls" || got.Load() > 0) {
				t.Errorf("syslog: %v, %d bytes", err, got.Load())
			}
		})
	}
}

// syslogStandIn takes one connection at a time, reads to its end and answers it. It counts what it read.
func syslogStandIn(t *testing.T, config *tls.Config) (*atomic.Int64, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	got, done := &atomic.Int64{}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			c := tls.Server(raw, config)
			_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
			n, _ := io.Copy(io.Discard, c)
			got.Add(n)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return got, l.Addr().String()
}

// TestNoProxyFromTheEnvironment and no secret in the log.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	s := newSite(t)
	r := &repository{status: func(string) string { return "401 Unauthorized" }}
	check(t, os.WriteFile(s.path("headers"), []byte("Authorization: Bearer geheim-1\nX-Site: north\n"), 0o600))
	spec := s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4", "form: single", "headers: "+s.path("headers"))
	m := &memory{}
	m.add(entriesTo(3)...)
	l, said := run(t, m, s.open(spec), spec)
	eventually(t, "denied", func() bool { return l.Status().Code == "denied" })
	r.mu.Lock()
	if r.header.Get("Authorization") != "Bearer geheim-1" || r.header.Get("X-Site") != "north" || r.header.Get("Content-Type") != fhirJSON {
		t.Errorf("%v", r.header)
	}
	r.status = nil
	r.mu.Unlock()
	check(t, os.WriteFile(s.path("headers"), []byte("Authorization: Bearer geheim-2\n"), 0o600)) // a new token, no restart
	eventually(t, "everything acknowledged", m.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.header.Get("Authorization") != "Bearer geheim-2" || r.header.Get("X-Site") != "" {
		t.Errorf("%v", r.header)
	}
	status, _ := json.Marshal(l.Status())
	if strings.Contains(said.String()+string(status), "geheim") {
		t.Errorf("a secret in the log or status: %s %s", said, status)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": 0, "-1": 0, "99999999999999": 0, "0": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0} {
		if got := waitFor(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
	s := newSite(t)
	for _, status := range []int{408, 429, 502, 503, 504} {
		url := s.serve(nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "3000")
			rw.WriteHeader(status)
		})
		for _, spec := range []Spec{s.spec(OTLP, url), s.spec(FHIR, url+"/r4"), s.spec(FHIR, url+"/r4", "form: single")} {
			if err := s.open(spec).Send(context.Background(), entriesTo(2)); retryAfter(err) != 3000*time.Second || codeOf(err) != "busy" {
				t.Errorf("%d %s: %v, again in %v", status, spec.Kind, err, retryAfter(err))
			}
		}
	}
	l := NewLoop(nil, nil, Options{Spec: s.spec(OTLP, "https://h")})
	if d := l.backoff(3000 * time.Second); d < 3000*time.Second {
		t.Errorf("waits %v", d)
	}
	if d := l.backoff(24 * time.Hour); d > time.Hour+l.o.RetryMax {
		t.Errorf("put off for %v", d)
	}
}

// TestOTLPPartialSuccess: rejected records are counted, and by the protocol's rule not sent again.
func TestOTLPPartialSuccess(t *testing.T) {
	s := newSite(t)
	asked := atomic.Int64{}
	spec := s.spec(OTLP, s.serve(nil, func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Encoding") != "gzip" {
			rw.WriteHeader(404)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			rw.WriteHeader(400)
			return
		}
		io.Copy(io.Discard, z)
		answerWith(200, "application/json; charset=utf-8", `{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"x"}}`)(rw, r)
	}), "batch: 50", "gzip: true")
	m := &memory{}
	m.add(entriesTo(100)...)
	l, said := run(t, m, s.open(spec), spec)
	eventually(t, "everything dealt with", m.done)
	if st := l.Status(); st.Sent != 96 || st.Refused != 4 || asked.Load() != 2 {
		t.Errorf("%+v, asked %d times\n%s", st, asked.Load(), said)
	}
}

// TestTypes: a sink gets what it asks for, and the rest holds up nothing.
func TestTypes(t *testing.T) {
	s := newSite(t)
	r := &repository{}
	spec := s.spec(FHIR, s.serve(nil, r.ServeHTTP)+"/r4", "types: [lock.*, policy.relaxed]", "batch: 20")
	m := &memory{}
	es := entriesTo(len(audit.Types()) * 2)
	m.add(es...)
	l, _ := run(t, m, s.open(spec), spec)
	eventually(t, "everything dealt with", m.done)
	if n, most := r.times(); n != 10 || most != 1 || l.Status().Sent != 10 {
		t.Errorf("%d events of 5 types, one %d times", n, most)
	}
}
