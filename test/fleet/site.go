//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"stepaway/audit"
	"stepaway/collector"
	"stepaway/test/desktop"
	"stepaway/test/postgres"
)

// site is one collector of a hospital: keys, a store, and processes that serve.
type site struct {
	kind     string // sqlite, postgres or none
	programs string
	dir      string // holds data directories and logs
	data     string
	database string // of the server
	server   *postgres.Server
	profile  string // file for a profile; "" for none
	serving  []*serving
	n        int
}

// newSite makes a collector with an empty store.
func (r *run) newSite(kind string) (*site, error) {
	s, err := r.place(kind)
	if err != nil {
		return nil, err
	}
	_, err = s.tool("init")
	return s, err
}

// place makes what a site needs beside its keys.
func (r *run) place(kind string) (s *site, err error) {
	s = &site{kind: kind, programs: r.programs}
	if s.dir, err = os.MkdirTemp(r.dir, kind); err != nil {
		return nil, err
	}
	s.data = filepath.Join(s.dir, "data")
	if kind != "postgres" {
		return s, nil
	}
	if r.server == nil {
		if r.server, err = postgres.New(); err != nil {
			return nil, err
		}
	}
	s.server = r.server
	s.database, err = r.server.Database()
	return s, err
}

// another makes a collector with the same keys and an empty store, perhaps of another kind.
func (r *run) another(f *fleet, kind string) (*site, error) {
	s, err := r.place(kind)
	if err != nil {
		return nil, err
	}
	return s, f.site.copyKeys(s.data)
}

// copyKeys makes the data directory of another machine that serves the same site.
func (s *site) copyKeys(to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"ca.crt", "ca.key", "ack.key", "server.pem"} {
		body, err := os.ReadFile(filepath.Join(s.data, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// storeURL is the URL of the store, empty for SQLite.
func (s *site) storeURL() string {
	if s.kind == "postgres" {
		return s.server.URL(s.database)
	}
	return ""
}

// storeFlags are what every command of the collector needs to find its data.
func (s *site) storeFlags(data string) []string {
	args := []string{"--data", data}
	if url := s.storeURL(); url != "" {
		args = append(args, "--store", url)
	}
	return args
}

// tool runs a command of the collector and answers what it prints.
func (s *site) tool(verb string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(s.programs, "stepaway-collector"), append(append([]string{verb}, s.storeFlags(s.data)...), args...)...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("stepaway-collector %s: %w\n%s", verb, err, problem.String())
	}
	return out, err
}

// serving is one process that serves.
type serving struct {
	*desktop.Process
	url  string
	data string
}

var listening = regexp.MustCompile(`msg=listening address=(\S+)`)

// serve starts a process and waits until it listens, anywhere, or at the place of one that was.
func (s *site) serve(data, address string) (*serving, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	cmd := s.command(data, address)
	s.n++
	p, err := desktop.Launch(s.dir, fmt.Sprintf("serve%d", s.n), cmd)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		log, _ := os.ReadFile(p.Log)
		if m := listening.FindSubmatch(log); m != nil {
			v := &serving{Process: p, url: "https://" + string(m[1]), data: data}
			s.serving = append(s.serving, v)
			return v, nil
		}
		select {
		case <-p.Done():
			return nil, fmt.Errorf("the collector ended: %s", p.Output())
		default:
		}
	}
	_ = p.Stop(time.Second)
	return nil, fmt.Errorf("the collector does not listen: %s", p.Output())
}

func (s *site) command(data, address string) *exec.Cmd {
	if s.kind != "none" && s.profile == "" {
		return exec.Command(filepath.Join(s.programs, "stepaway-collector"),
			append([]string{"serve", "--listen", address}, s.storeFlags(data)...)...)
	}
	store := s.kind
	if url := s.storeURL(); url != "" {
		store = url
	}
	return exec.Command(filepath.Join(s.programs, "fleet-bare"), "--listen", address, "--data", data, "--store", store, "--profile", s.profile)
}

// kill ends a process as a power cut of its machine would, and answers its address.
func (v *serving) kill() (address string) {
	_ = v.Signal(syscall.SIGKILL)
	<-v.Done()
	return strings.TrimPrefix(v.url, "https://")
}

// stop ends every process that serves.
func (s *site) stop() (err error) {
	for _, v := range s.serving {
		select {
		case <-v.Done():
		default:
			if e := v.Stop(20 * time.Second); e != nil {
				err = e
			}
		}
	}
	s.serving = nil
	return err
}

// tokens makes a token for each device with the collector's own code.
func (s *site) tokens(ctx context.Context, names []audit.Label, url string, each func(audit.Label, string)) error {
	a, err := collector.Load(s.data)
	if err != nil {
		return err
	}
	store, err := collector.Open(ctx, s.data, s.storeURL())
	if err != nil {
		return err
	}
	defer store.Close()
	return atOnce(16, names, func(name audit.Label) error {
		t, err := collector.NewToken(ctx, a, store, name, url, time.Hour, time.Now())
		if err == nil {
			each(name, t.String())
		}
		return err
	})
}

// heads answers what `devices` says is held of each epoch.
func (s *site) heads() (map[audit.Label]map[string]collector.Epoch, error) {
	out, err := s.tool("devices", "--json")
	if err != nil {
		return nil, err
	}
	all := map[audit.Label]map[string]collector.Epoch{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var one collector.Device
		if err := d.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[one.Name] = map[string]collector.Epoch{}
		for _, e := range one.Epochs {
			all[one.Name][e.Name] = e
		}
	}
}

// verify has the collector go through everything that it holds.
func (s *site) verify() (v collector.Verified, err error) {
	out, err := s.tool("verify", "--json")
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(out, &v)
}
