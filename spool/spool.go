// Package spool keeps audit events on disk, chained, until the collector and every sink of this machine have them.
//
// Failure rules: an event is stored when Append has returned nil, and then survives a kill and a power cut.
// A number is never used twice within an epoch. A file that is damaged, is not a spool, or belongs to
// someone else is set aside, never deleted, and a new epoch begins with an event that says so; so does one
// that is older than what was acknowledged. A full disk or a read-only one is an error of that Append alone:
// nothing is half written, and the caller tries again. Every open checks the whole file first, in a child
// process with a time limit, because bbolt may panic in its own goroutines or hang on damaged pages.
// Only ErrDamaged ends a Spool: close it and open again. The courier alone opens a spool.
package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"stepaway/audit"
	"stepaway/group"
)

// Names within the spool's directory.
const (
	fileName = "spool.db"
	lockName = "spool.lock"
	ackName  = "ack.json"
)

// DefaultMaxBytes is the largest file of a spool unless Options says otherwise.
const DefaultMaxBytes = 64 << 20

// Errors that a caller decides by.
var (
	ErrBusy    = errors.New("another courier is running")
	ErrFull    = errors.New("spool full")
	ErrAck     = errors.New("acknowledgement refused")
	ErrDamaged = errors.New("spool damaged")
	ErrClosed  = errors.New("spool closed")
)

// Options of a spool. The zero value works.
type Options struct {
	Device, Site, Unit audit.Label                  // written into every event
	Bound              string                       // whom the epoch is for: another one begins a new epoch
	Keep               bool                         // device and collector are not known now: those of the epoch go on
	Sinks              []string                     // who else must have an event before it is deleted: see Passed
	KeepSinks          bool                         // the sinks are not known now: those of the file go on
	MaxBytes           int64                        // size of the file; DefaultMaxBytes if 0
	CompactOver        int64                        // a drained file larger than this is rewritten; 16 MiB if 0
	Stamp              func(audit.Type) audit.Event // makes an event of the spool's own; the wall clock alone if nil
	Check              func(path string) (Found, error)
	// Check looks at the file before it is opened: InChild in the courier, Check itself if nil.
}

// Report tells what Open found.
type Report struct {
	Epoch  string // the epoch now written to
	Head   uint64
	Acked  uint64
	Aside  string // where a bad file was moved, or empty
	Code   string // why it was moved or the epoch ended: an enumerated word, or empty
	Before string // the epoch before, if one ended and is known
}

// State is what a spool holds.
type State struct {
	Epoch     string
	Head      uint64 // last number written
	HeadHash  string
	Acked     uint64 // last number acknowledged
	AckedHash string
	Proof     string // what the collector signed for Acked, or empty
	Freed     uint64 // last number that nobody waits for: events up to it are deleted
	FreedHash string
	Sinks     map[string]uint64 `json:",omitempty"` // last number that each sink has
	Missed    map[string]int64  `json:",omitempty"` // how many events each sink will never have
	Bytes     int64             // size of the file
	Dropped   int64             // events dropped and not yet told by a spool.full event
}

// Spool is an open spool. Its methods may be called from any goroutine.
type Spool struct {
	dir  string
	o    Options
	lock *os.File

	noteMu sync.Mutex   // guards noted and the file
	mu     sync.RWMutex // held for reading while db is read, for writing while it is exchanged
	db     *bolt.DB
	file   *os.File             // that of db
	jobs   *group.Writers[*job] // one goroutine
	close  sync.Once
	bad    atomic.Bool
	doubt  bool    // of the writing goroutine: what is seen in the file may not be on disk
	known  decoded // of the writing goroutine: the state as it was committed last
	noted  ackFile // what ack.json holds
	state  atomic.Pointer[State]
}

// Open opens the spool in dir, which it makes if there is none. It fails only when another courier has it
// or the directory cannot be used.
func Open(dir string, o Options) (*Spool, Report, error) {
	s := &Spool{dir: dir, o: o.filled()}
	if err := prepare(dir); err != nil {
		return nil, Report{}, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, Report{}, fmt.Errorf("open spool in %s: %w", dir, err)
	}
	s.lock = lock
	r, err := s.open()
	if err != nil {
		lock.Close()
		return nil, Report{}, fmt.Errorf("open spool in %s: %w", dir, err)
	}
	s.jobs = group.New(1, maxGroup, s.commit)
	return s, r, nil
}

func (o Options) filled() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.CompactOver == 0 {
		o.CompactOver = 16 << 20
	}
	if o.Stamp == nil {
		o.Stamp = stamp
	}
	if o.Check == nil {
		o.Check = Check
	}
	return o
}

// growth is the step in which the file grows, within the reserve of a full spool.
func (o Options) growth() int { return int(min(1<<20, o.MaxBytes/32)) }

func stamp(t audit.Type) audit.Event {
	severity, _ := audit.SeverityOf(t)
	return audit.Event{V: audit.Version, Type: t, Wall: time.Now().UTC(), Severity: severity, Outcome: audit.Success}
}

func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ownedByUs(info):
		return fmt.Errorf("%s belongs to another account", dir)
	case info.Mode().Perm() != 0o700:
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// open checks the file, sets it aside if it is bad, and begins or continues an epoch.
func (s *Spool) open() (Report, error) {
	known, _ := readAck(s.dir)
	s.noted = known
	found, code, err := s.inspect()
	if err != nil {
		return Report{}, err
	}
	var r Report
	if code != "" {
		if known.Epoch != "" && known.Epoch != found.Epoch { // not the file that the note is about, whatever it says
			found = Found{Epoch: known.Epoch, Head: known.Head, Acked: known.Last}
		}
		r.Code, r.Before = code, found.Epoch
		if r.Aside, err = setAside(s.path()); err != nil {
			return Report{}, err
		}
	}
	if err := create(s.path()); err != nil {
		return Report{}, err
	}
	if s.db, s.file, err = s.use(s.path()); err != nil {
		return Report{}, err
	}
	err = s.settle()
	if err == nil {
		err = s.begin(&r, found, known)
	}
	if err != nil {
		s.db.Close()
		return Report{}, err
	}
	return r, nil
}

// begin runs the first transaction: a new epoch where one is due, and the event that says why.
func (s *Spool) begin(r *Report, found Found, known ackFile) error {
	j := &job{do: func(x *txn) error { return x.begin(r, found, known) }}
	if err := s.transact([]*job{j}); err != nil {
		return err
	}
	if j.err != nil {
		return j.err
	}
	st := s.State()
	r.Epoch, r.Head, r.Acked = st.Epoch, st.Head, st.Acked
	return s.writeAck()
}

// inspect says what is in the spool's file, and a word for why it cannot be used.
func (s *Spool) inspect() (Found, string, error) {
	info, err := os.Lstat(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}, "", nil
	}
	if err != nil {
		return Found{}, "", err
	}
	if code := suspect(info); code != "" {
		return Found{}, code, nil
	}
	if err := os.Chmod(s.path(), 0o600); err != nil {
		return Found{}, "", err
	}
	found, err := s.o.Check(s.path())
	if errors.Is(err, ErrBusy) {
		return Found{}, "", err
	}
	switch {
	case err != nil:
		return found, "damaged", nil
	case found.Epoch == "" && s.noted.Epoch != "":
		return found, "empty", nil
	}
	return found, "", nil
}

func (s *Spool) path() string { return filepath.Join(s.dir, fileName) }

// use opens a file to write to it.
func (s *Spool) use(path string) (*bolt.DB, *os.File, error) {
	db, f, err := openFile(path, false)
	if err == nil {
		db.AllocSize = s.o.growth()
	}
	return db, f, err
}

// openFile opens a bbolt file so that it can grow for weeks: its list of free pages is not written with every commit.
func openFile(path string, readOnly bool) (db *bolt.DB, f *os.File, err error) {
	err = guard(func() error {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: time.Second, ReadOnly: readOnly,
			FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				f, err = os.OpenFile(name, flag, mode)
				return f, err
			},
		})
		return err
	})
	if errors.Is(err, ErrDamaged) {
		f.Close()
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, nil, ErrBusy
	}
	if err != nil {
		return nil, nil, err
	}
	return db, f, nil
}

// create makes an empty spool where there is none, under another name first: stopped in the middle it leaves nothing that
// could be taken for a damaged one.
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := path + ".new"
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	db, _, err := openFile(next, false)
	if err != nil {
		return err
	}
	return errors.Join(db.Close(), os.Rename(next, path))
}

// State answers what the spool holds.
func (s *Spool) State() State { return *s.state.Load() }

// Close waits for what is being written and frees the file.
func (s *Spool) Close() error {
	var err error
	s.close.Do(func() {
		s.jobs.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		err = s.closeFile()
		if e := s.lock.Close(); err == nil {
			err = e
		}
	})
	return err
}

// closeFile closes the file. What is in memory of a damaged one may be locked for ever, so it is left to itself; the file's own
// lock is given up, so that it can be opened again.
func (s *Spool) closeFile() error {
	if s.bad.Load() {
		err := s.file.Close()
		go guard(s.db.Close)
		return err
	}
	if err := s.writeAck(); err != nil {
		s.db.Close()
		return err
	}
	return s.db.Close()
}
