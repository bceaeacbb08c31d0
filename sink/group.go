package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"stepaway/sink/encode"
	"stepaway/trusted"
)

// Load reads a file of sinks that nobody but root and the account of this process can have written. fs.ErrNotExist when
// there is none; what is wrong in it is Problems. The files that it names are not opened: see Check.
func Load(path string) ([]Spec, error) {
	text, err := trusted.Read(path, owner(), MaxFile+1)
	if err != nil {
		return nil, fmt.Errorf("read the sinks: %w", err)
	}
	return Parse(path, text)
}

// CheckFile checks a file of sinks and every file that it names, and writes what is wrong to w: a line each, or JSON.
func CheckFile(w io.Writer, path string, asJSON bool) error {
	text, err := trusted.Read(path, owner(), MaxFile+1)
	if err != nil {
		return fmt.Errorf("read the sinks: %w", err)
	}
	specs, err := Check(path, text)
	var problems Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	switch {
	case asJSON:
		err = json.NewEncoder(w).Encode(map[string]any{"ok": len(problems) == 0, "problems": append(Problems{}, problems...)})
	case len(problems) > 0:
		_, err = fmt.Fprintln(w, problems.Error())
	default:
		for _, s := range specs {
			_, err = fmt.Fprintf(w, "%s: %s to %s\n", s.Name, s.Kind, s.URL.Redacted())
		}
	}
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%d problems in %s", len(problems), path)
	}
	return err
}

// Group runs the sinks of one file.
type Group struct {
	loops []*Loop
	file  string // where their status is noted, for the command that shows it
	told  chan struct{}
	log   *slog.Logger
}

// NewGroup makes the loops. file is where their status is noted.
func NewGroup(specs []Spec, source func(Spec) Source, file string, o Options) *Group {
	g := &Group{file: file, told: make(chan struct{}, 1), log: o.Log}
	for _, s := range specs {
		o.Spec, o.Changed = s, g.changed
		g.loops = append(g.loops, NewLoop(source(s), &late{spec: s}, o))
	}
	return g
}

func (g *Group) changed() {
	select {
	case g.told <- struct{}{}:
	default:
	}
}

// Wake says that there may be something new.
func (g *Group) Wake() {
	for _, l := range g.loops {
		l.Wake()
	}
}

// noteEvery is how old the noted status may be.
const noteEvery = 30 * time.Second

// Run works until ctx is done. Each sink has a goroutine of its own.
func (g *Group) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, l := range g.loops {
		wg.Go(func() { l.Run(ctx) })
	}
	for ctx.Err() == nil {
		if len(g.loops) == 0 { // nothing will change
			_ = os.Remove(g.file)
			<-ctx.Done()
			return
		}
		if err := g.note(); err != nil {
			g.log.Debug("status of sinks not noted", "err", err)
		}
		pause(ctx, time.Second, nil) // at most once a second
		pause(ctx, noteEvery, g.told)
	}
}

// Said is what a running group has noted.
type Said struct {
	At    time.Time `json:"at"`
	Sinks []Status  `json:"sinks"`
}

// Of answers the status of one sink; nil when nothing was said of it.
func (s Said) Of(name string) *Status {
	for i := range s.Sinks {
		if s.Sinks[i].Name == name {
			return &s.Sinks[i]
		}
	}
	return nil
}

// note replaces the file. It is a convenience: nothing depends on it.
func (g *Group) note() error {
	said := Said{At: time.Now().UTC(), Sinks: []Status{}}
	for _, l := range g.loops {
		said.Sinks = append(said.Sinks, l.Status())
	}
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if err := os.WriteFile(g.file+".new", body, 0o600); err != nil {
		return err
	}
	return os.Rename(g.file+".new", g.file)
}

// Heard reads what a running group has noted in a file; nothing where there is none.
func Heard(file string) (said Said, err error) {
	f, err := os.Open(filepath.Clean(file))
	if errors.Is(err, fs.ErrNotExist) {
		return said, nil
	}
	if err != nil {
		return said, err
	}
	defer f.Close()
	return said, json.NewDecoder(io.LimitReader(f, maxAnswer)).Decode(&said)
}

// late opens its sink when there is something to send, and tries again where that fails: a file that is put right later
// needs no restart.
type late struct {
	spec Spec
	to   Sink
}

func (l *late) Send(ctx context.Context, es []encode.Entry) (err error) {
	if l.to == nil {
		if l.to, err = Open(l.spec); err != nil {
			l.to = nil
			return &Error{Code: "config", Err: err}
		}
	}
	return l.to.Send(ctx, es)
}

func (l *late) Close() {
	if l.to != nil {
		l.to.Close()
	}
}
