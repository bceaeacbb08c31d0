package collector

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stepaway/audit"
	pg "stepaway/test/postgres"
	"stepaway/uplink"
)

// ownServer is a server of the test's own.
func ownServer(t *testing.T, params ...string) *pg.Server {
	t.Helper()
	server, err := pg.New(params...)
	must(t, err)
	t.Cleanup(server.Stop)
	return server
}

// siteOn is a site whose store is on a server of its own.
func siteOn(t *testing.T, server *pg.Server) *site {
	t.Helper()
	name, err := server.Database()
	must(t, err)
	s := &site{engine: "postgres", address: server.URL(name), database: name, dir: filepath.Join(t.TempDir(), "data")}
	s.a, err = Init(s.dir, nil, time.Now())
	must(t, err)
	s.store = s.open(t)
	t.Cleanup(func() { must(t, s.store.Close()) })
	return s
}

// writers send events of several devices until stop is called, which answers how far each was acknowledged. A batch that
// was not acknowledged is sent again.
func (s *site) writers(t *testing.T, devices int) (stop func() (chains []*chain, acked []int, failures int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var failures atomic.Int64
	chains, acked := make([]*chain, devices), make([]int, devices)
	for i := range chains {
		chains[i] = newChain(t, audit.Label(fmt.Sprintf("ws-%d", i)), "00000000000000aa", 4000)
		all.Go(func() {
			for ctx.Err() == nil && acked[i]+5 <= 4000 {
				h, err := s.store.Take(context.Background(), chains[i].arrival(acked[i]+1, acked[i]+5, time.Now()))
				if err != nil {
					failures.Add(1)
					time.Sleep(20 * time.Millisecond)
					continue
				}
				if int(h.Last) != acked[i]+5 || h.Hash != chains[i].held(acked[i]+5) {
					t.Errorf("ws-%d: held %+v after %d", i, h, acked[i])
					return
				}
				acked[i] += 5
			}
		})
	}
	return func() ([]*chain, []int, int) { cancel(); all.Wait(); return chains, acked, int(failures.Load()) }
}

// TestTheDatabaseComesAndGoes crashes the server, ends it with its connections, and ends connections alone, while devices
// write: every acknowledged event is there, once.
func TestTheDatabaseComesAndGoes(t *testing.T) {
	server := ownServer(t)
	s := siteOn(t, server)
	stop := s.writers(t, 8)
	for _, how := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGINT, 0, 0, syscall.SIGQUIT} {
		time.Sleep(300 * time.Millisecond)
		if how == 0 {
			_, err := server.SQL("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stepaway-collector'")
			must(t, err)
			continue
		}
		must(t, server.Signal(how))
		server.Wait()
		must(t, server.Start())
	}
	time.Sleep(300 * time.Millisecond)
	_, acked, failures := stop()
	v := s.verified(t)
	for i, e := range v.Epochs {
		if int(e.To) < acked[i] || acked[i] == 0 {
			t.Errorf("%s: %d held, %d acknowledged", e.Device, e.To, acked[i])
		}
	}
	t.Logf("%d events, %d batches failed and were sent again", v.Events, failures)
}

// TestTheDatabaseHangs: requests are answered with 503 and Retry-After within bounds, they do not pile up, and all goes on
// when the database does.
func TestTheDatabaseHangs(t *testing.T) {
	server := ownServer(t)
	s := siteOn(t, server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.url = "https://" + l.Addr().String()
	s.serve(t, l)
	const devices = 20
	clients, batches := make([]*http.Client, devices), make([][]byte, devices)
	for i := range clients {
		name := audit.Label(fmt.Sprintf("ws-%d", i))
		clients[i] = s.device(t, name, time.Now())
		c := newChain(t, name, "00000000000000aa", 100)
		batches[i], err = json.Marshal(uplink.Batch{Device: name, Epoch: c.epoch, Events: c.bodies})
		must(t, err)
	}
	thaw := server.Freeze()
	thaw = sync.OnceFunc(thaw)
	defer thaw()
	before := runtime.NumGoroutine()
	begun := time.Now()
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			resp, err := clients[i].Post(s.url+uplink.PathEvents, "application/json", bytes.NewReader(batches[i]))
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
		})
	}
	all.Wait()
	if d := time.Since(begun); d > 2*patience+10*time.Second {
		t.Errorf("answered after %v", d)
	}
	thaw()
	for i := range clients {
		all.Go(func() {
			for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
				status, answer, err := s.post(clients[i], uplink.PathEvents, batches[i])
				if err == nil && status == 200 {
					return
				}
				if time.Now().After(end) {
					t.Errorf("not taken after the database went on: %d %s %v", status, answer, err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, c := range clients {
		c.CloseIdleConnections()
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+20; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
			break
		}
	}
	if v := s.verified(t); v.Events < devices*100 {
		t.Errorf("%d events", v.Events)
	}
}

// TestLockedRowsAndDeadlocks: somebody in the database holds what is wanted; it is had once he lets go.
func TestLockedRowsAndDeadlocks(t *testing.T) {
	s := newSiteOn(t, "postgres")
	c := newChain(t, "ws-1", "00000000000000aa", 20)
	s.take(t, c, 1, 5, time.Now(), 5)
	done := make(chan error, 1)
	go func() {
		_, err := pg.Shared(t).SQL(s.database, "BEGIN; SELECT * FROM epochs FOR UPDATE; SELECT pg_sleep(2); ROLLBACK")
		done <- err
	}()
	time.Sleep(500 * time.Millisecond)
	s.take(t, c, 6, 10, time.Now(), 10)
	must(t, <-done)
	s.verified(t)
}

// TestTLSToTheDatabase: by password and by a certificate for its name, and not without.
func TestTLSToTheDatabase(t *testing.T) {
	server := ownServer(t)
	ca := tlsFor(t, server.Dir(), "localhost")
	name, err := server.Database()
	must(t, err)
	_, err = server.SQL("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'geheim'; ALTER DATABASE "+name+" OWNER TO keeper; CREATE ROLE poor LOGIN PASSWORD 'arm'")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(server.Dir(), "data", "pg_hba.conf"), []byte("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"), 0o644))
	server.Set("ssl=on", "ssl_cert_file="+filepath.Join(server.Dir(), "server.crt"), "ssl_key_file="+filepath.Join(server.Dir(), "server.key"))
	must(t, server.Signal(syscall.SIGINT))
	server.Wait()
	port, err := server.Listen()
	must(t, err)
	must(t, server.Start())
	passwords := filepath.Join(t.TempDir(), "pgpass")
	must(t, os.WriteFile(passwords, fmt.Appendf(nil, "localhost:%d:%s:keeper:geheim\n", port, name), 0o600))
	url := func(user, host, rest string) string {
		return fmt.Sprintf("postgres://%s@%s:%d/%s?%s", user, host, port, name, rest)
	}
	verify := "sslmode=verify-full&sslrootcert=" + ca
	for what, c := range map[string]struct{ address, file, want string }{
		"password in the URL":      {url("keeper:geheim", "localhost", verify), "", ""},
		"password in a file":       {url("keeper", "localhost", verify), passwords, ""},
		"no password":              {url("keeper", "localhost", verify), "", "PGPASSFILE"},
		"a wrong password":         {url("keeper:falsch", "localhost", verify), "", "PGPASSFILE"},
		"another name":             {url("keeper:geheim", "127.0.0.1", verify), "", "127.0.0.1"},
		"another CA":               {url("keeper:geheim", "localhost", "sslmode=verify-full"), "", "certificate"},
		"no TLS":                   {url("keeper:geheim", "localhost", "sslmode=disable"), "", "pg_hba.conf"},
		"a database that is none":  {strings.Replace(url("keeper:geheim", "localhost", verify), "/"+name, "/nowhere", 1), "", "createdb"},
		"not the database's owner": {url("poor:arm", "localhost", verify), "", "OWNER TO poor"},
	} {
		t.Setenv("PGPASSFILE", filepath.Join(t.TempDir(), "none"))
		if c.file != "" {
			t.Setenv("PGPASSFILE", c.file)
		}
		s, err := Open(context.Background(), "", c.address)
		switch {
		case err == nil:
			must(t, s.Close())
			if c.want != "" {
				t.Errorf("%s: opened", what)
			}
		case c.want == "" || !strings.Contains(err.Error(), c.want), strings.Contains(err.Error(), "geheim"), strings.Contains(err.Error(), "falsch"):
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// TestPlainTextIsForThisMachine: without a word about TLS, a database elsewhere has to prove its name.
func TestPlainTextIsForThisMachine(t *testing.T) {
	for address, plain := range map[string]bool{
		"postgres://u@localhost/d":                        true,
		"postgres://u@127.0.0.1:5433/d":                   true,
		"postgres://u@[::1]/d":                            true,
		"postgres://u@/d?host=/run/postgresql":            true,
		"postgres:///d":                                   true,
		"postgres://u@db.example/d":                       false,
		"postgres://u@10.1.2.3/d":                         false,
		"postgres://u@localhost,db.example/d":             false,
		"postgres://u@/d?host=db.example":                 false,
		"postgres://u@db.example/d?sslmode=disable":       true,
		"postgresql://u@db.example/d?sslmode=verify-full": false,
	} {
		c, err := pgConfig(address)
		must(t, err)
		tls := c.ConnConfig.TLSConfig
		if strict := tls != nil && !tls.InsecureSkipVerify && tls.ServerName != "" && len(c.ConnConfig.Fallbacks) == 0; !strict != plain && !strings.Contains(address, ",") {
			t.Errorf("%s: strict TLS %v", address, strict)
		}
		for _, f := range c.ConnConfig.Fallbacks {
			if f.TLSConfig == nil && !plain {
				t.Errorf("%s: falls back to plain text", address)
			}
		}
	}
}

func TestServerWithoutFsyncIsRefused(t *testing.T) {
	server := ownServer(t, "fsync=off")
	name, err := server.Database()
	must(t, err)
	if _, err := Open(context.Background(), "", server.URL(name)); err == nil || !strings.Contains(err.Error(), "fsync") {
		t.Errorf("opened: %v", err)
	}
}

// tlsFor puts a certificate for a name, and its key, where a server finds them, and answers the file of its CA.
func tlsFor(t *testing.T, dir, name string) (ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	info, err := os.Stat(dir)
	must(t, err)
	for file, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		path := filepath.Join(dir, file)
		must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
		st := info.Sys().(*syscall.Stat_t)
		must(t, os.Chown(path, int(st.Uid), int(st.Gid)))
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	return ca
}
