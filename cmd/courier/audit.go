package main

import (
	"bufio"
	"context"
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
				"  verify  check every event that waits on this machine, the chain that binds them, and the acknowledgements\n" +
				"  export  print them, as JSON lines, DICOM audit messages, FHIR AuditEvents or CSV\n")
			return nil
		}
	}
	return fmt.Errorf("audit: say verify or export; see stepaway-courier audit --help: %w", cmdline.ErrUsage)
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
