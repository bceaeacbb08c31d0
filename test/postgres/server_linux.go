package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is one server with a data directory.
type Server struct {
	dir    string
	port   int // of the loopback, or 0
	params []string
	cred   *syscall.Credential // the account it runs as; root may not run it

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	n    int
}

// New makes a data directory and starts a server on it. Parameters are such as "ssl=on".
func New(params ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{params: params}
	if os.Geteuid() == 0 {
		if s.cred, err = account(); err != nil {
			return nil, err
		}
	}
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	init := s.command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "stepaway", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, s.Start()
}

// binaries finds the directory of Debian's newest server; another one may stand before it in the PATH.
func binaries() (string, error) {
	for v := 20; v >= 13; v-- {
		dir := fmt.Sprintf("/usr/lib/postgresql/%d/bin", v)
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: run `make deps`")
}

// Tool is the path of one of the server's programs, such as pg_dump.
func Tool(name string) (string, error) {
	bin, err := binaries()
	return filepath.Join(bin, name), err
}

func account() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: run `make deps`", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Dir is where the socket and the data directory are, and where files for the server may be put.
func (s *Server) Dir() string { return s.dir }

// Listen makes the server listen on a port of the loopback too, from its next start on.
func (s *Server) Listen() (port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	s.port = l.Addr().(*net.TCPAddr).Port
	return s.port, nil
}

// Set adds parameters for the next start.
func (s *Server) Set(params ...string) { s.params = append(s.params, params...) }

// Start starts the server and waits until it answers.
func (s *Server) Start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-c", "unix_socket_directories=" + s.dir, "-c", "max_connections=200", "-c", "log_statement=none"}
	if s.port == 0 {
		args = append(args, "-c", "listen_addresses=")
	} else {
		args = append(args, "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", s.port))
	}
	for _, p := range s.params {
		args = append(args, "-c", p)
	}
	log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command(filepath.Join(bin, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // at once
	if err := s.launch(cmd); err != nil {
		return err
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if s.command(filepath.Join(bin, "pg_isready"), "-q", "-h", s.dir, "-p", strconv.Itoa(s.portOr5432())).Run() == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("PostgreSQL ended: %s", s.tail())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("PostgreSQL did not answer: %s", s.tail())
		}
	}
}

// launch starts the process from a thread that stays, since the parent-death signal follows the thread.
func (s *Server) launch(cmd *exec.Cmd) error {
	started, end, done := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		go func() { _ = cmd.Wait(); close(end) }()
		<-end
	}()
	err := <-started
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.done = cmd, done
	return err
}

// Signal sends a signal to the server's first process: SIGINT ends it with its connections, SIGQUIT at once and without
// writing anything down.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// Wait waits for the server's end.
func (s *Server) Wait() { <-s.done }

// Freeze stops every process of the server, without ending any, and answers what lets them go on.
func (s *Server) Freeze() (thaw func()) {
	pids := append(children(s.cmd.Process.Pid), s.cmd.Process.Pid)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

func children(pid int) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		body, _ := os.ReadFile(list)
		for f := range strings.FieldsSeq(string(body)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// Stop ends the server and removes its directory.
func (s *Server) Stop() {
	_ = s.Signal(syscall.SIGQUIT)
	s.Wait()
	_ = os.RemoveAll(s.dir)
}

// Log is the path of the server's log.
func (s *Server) Log() string { return filepath.Join(s.dir, "log") }

func (s *Server) tail() string {
	body, _ := os.ReadFile(s.Log())
	return string(body[max(0, len(body)-2000):])
}

func (s *Server) portOr5432() int {
	if s.port == 0 {
		return 5432
	}
	return s.port
}

// URL is that of a database, for the superuser over the socket.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://stepaway@/%s?host=%s&port=%d", database, s.dir, s.portOr5432())
}

// SQL runs statements in a database and answers what psql prints, without heads.
func (s *Server) SQL(database, statements string) (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	cmd := s.command(filepath.Join(bin, "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "stepaway", "-h", s.dir, "-p", strconv.Itoa(s.portOr5432()),
		"-d", database, "-f", "-")
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("psql: %w\n%s", err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// Database makes a new database and answers its name.
func (s *Server) Database() (string, error) {
	s.mu.Lock()
	s.n++
	name := fmt.Sprintf("db%d", s.n)
	s.mu.Unlock()
	_, err := s.SQL("postgres", "CREATE DATABASE "+name)
	return name, err
}
