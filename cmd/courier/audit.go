package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/sink/encode"
	"stepaway/spool"
)

func auditVerb(_ context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "verify":
			return auditVerify(args[1:])
		case "export":
			return auditExport(args[1:])
		case "-h", "-help", "--help", "help":
			fmt.Print("usage: stepaway-courier audit verify|export [FLAGS]\n\n" +
				"  verify  check every event that waits on this machine, and the chain that binds them\n" +
				"  export  print them, as JSON lines, DICOM audit messages, FHIR AuditEvents or CSV\n")
			return nil
		}
	}
	return fmt.Errorf("audit: say verify or export; see stepaway-courier audit --help: %w", cmdline.ErrUsage)
}

// verified is what `audit verify --json` prints.
type verified struct {
	OK     bool   `json:"ok"`
	Epoch  string `json:"epoch"`
	From   uint64 `json:"from"` // 0 when no event waits
	To     uint64 `json:"to"`
	Events int    `json:"events"`
	Damage string `json:"damage,omitempty"`
}

func auditVerify(args []string) error {
	fl := flags("audit verify", "Checks every event that waits on this machine, and the chain that binds them. Works on a copy, so the\ncourier may run. What the collector has is gone from here: `stepaway-collector verify` checks that.")
	dir := stateFlag(fl)
	asJSON := fl.Bool("json", false, "print JSON")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	v, err := verify(state(*dir))
	if err != nil && v.Damage == "" {
		return err
	}
	if *asJSON {
		if e := json.NewEncoder(os.Stdout).Encode(v); e != nil {
			return e
		}
	} else if err == nil {
		fmt.Printf("epoch %s: %d events, %d to %d, each as it was written\n", v.Epoch, v.Events, v.From, v.To)
	}
	return err
}

func verify(s state) (verified, error) {
	v := verified{}
	prev, seq := "", uint64(0)
	found, err := s.snapshot(func(path string) error {
		_, err := spool.Read(path, func(r audit.Record) error {
			e, err := audit.Decode(r.Body)
			if err != nil {
				return fmt.Errorf("event %d: %w", r.Seq, err)
			}
			if prev == "" {
				prev, seq, v.From = e.Prev, r.Seq, r.Seq
			}
			if err := audit.Link(prev, seq, e); err != nil {
				return err
			}
			prev, seq, v.To = r.Hash, seq+1, r.Seq
			v.Events++
			return nil
		})
		return err
	})
	v.Epoch = found.Epoch
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, audit.ErrChain) || errors.Is(err, audit.ErrEvent) {
		v.Damage = err.Error()
	}
	v.OK = err == nil
	return v, err
}

// formats of export.
var formats = map[string]func(io.Writer) exporter{
	"json":  func(w io.Writer) exporter { return jsonLines{w} },
	"dicom": func(w io.Writer) exporter { return lines{w, encode.DICOM} },
	"fhir":  func(w io.Writer) exporter { return lines{w, encode.FHIR} },
	"csv":   newCSV,
}

// exporter writes events in one format.
type exporter interface {
	event(audit.Event, audit.Record) error
	end() error
}

func auditExport(args []string) error {
	fl := flags("audit export", "Prints the events that wait on this machine. Works on a copy, so the courier may run.")
	dir := stateFlag(fl)
	format := fl.String("format", "json", "`json` (one object a line), dicom (one audit message a line), fhir (one AuditEvent a line)\nor csv")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	open, ok := formats[*format]
	if !ok {
		return cmdline.Wrong(fl, "--format %.20s is not known, json, dicom, fhir and csv are", *format)
	}
	out := bufio.NewWriter(os.Stdout)
	to := open(out)
	_, err := state(*dir).snapshot(func(path string) error {
		_, err := spool.Read(path, func(r audit.Record) error {
			e, err := audit.Decode(r.Body)
			if err != nil {
				return fmt.Errorf("event %d: %w", r.Seq, err)
			}
			return to.event(e, r)
		})
		return err
	})
	return errors.Join(err, to.end(), out.Flush())
}

// jsonLines prints each event as it was written, with its hash added.
type jsonLines struct{ w io.Writer }

func (j jsonLines) event(_ audit.Event, r audit.Record) error {
	_, err := fmt.Fprintf(j.w, "%s,\"hash\":%q}\n", strings.TrimSuffix(string(r.Body), "}"), r.Hash)
	return err
}

func (j jsonLines) end() error { return nil }

// lines prints each event by an encoder, in a line.
type lines struct {
	w      io.Writer
	encode func(encode.Entry) ([]byte, error)
}

func (l lines) event(e audit.Event, r audit.Record) error {
	b, err := l.encode(encode.Entry{Event: e, Hash: r.Hash})
	if err == nil {
		_, err = l.w.Write(append(b, '\n'))
	}
	return err
}

func (l lines) end() error { return nil }
