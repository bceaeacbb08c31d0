package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"time"
)

// page is what a manual page says beside the program's own help.
type page struct {
	Section int
	About   string   // one line
	Files   []string // path, meaning; and so on
	See     string
}

// pages are those of all programs.
var pages = map[string]page{
	"stepaway-agent": {8, "secures a workstation when its user steps away", []string{
		"/etc/stepaway/policy.yaml", "policy, with every setting and its meaning; policy.d/*.yaml beside it is read too",
		"/etc/stepaway/approvals/", "signatures under a weaker policy",
		"/run/stepaway/link.sock", "the link of tray, courier and status",
		"/var/lib/stepaway/agent/", "last good policy, approved state of the installation",
	}, "stepaway-courier(8), stepaway-tray(1), and /usr/share/doc/stepaway/"},
	"stepaway-courier": {8, "carries the records of stepaway-agent to the collector", []string{
		"/etc/stepaway/enrolment-token", "one-time token; root's and closed to others. It is used and removed by stepaway-enroll.service as soon as it is there",
		"/etc/stepaway/sinks.yaml", "audit systems that events are handed on to, beside the collector or without one; see delivery.md",
		"/var/lib/stepaway/courier/", "spool, device key and certificate",
	}, "stepaway-agent(8), stepaway-collector(8), and /usr/share/doc/stepaway/"},
	"stepaway-tray": {1, "shows when this session will be secured, and warns before", []string{
		"/etc/xdg/autostart/stepaway-tray.desktop", "starts it at logon",
	}, "stepaway-agent(8)"},
	"stepaway-collector": {8, "takes and keeps the records of workstations", []string{
		"/etc/default/stepaway-collector", "flags of the service",
		"/var/lib/stepaway-collector/", "keys, and events unless a database keeps them",
	}, "stepaway-courier(8), and /usr/share/doc/stepaway-collector/"},
}

// manual is the page of a program as man(1) reads it.
func manual(c command, p page, version string, at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %d %s \"Stepaway %s\" \"Stepaway\"\n", strings.ToUpper(dashes(c.last())), p.Section, at.UTC().Format(time.DateOnly), version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", dashes(c.last()), roff(p.About))
	for _, leaf := range c.leaves() {
		fmt.Fprintf(&b, ".B %s\n.br\n", dashes(leaf.Usage))
	}
	if len(c.Commands) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, leaf := range c.leaves() {
			fmt.Fprintf(&b, ".SS %s\n", dashes(strings.Join(leaf.Path[1:], " ")))
			options(&b, leaf)
		}
	} else {
		b.WriteString(".SH DESCRIPTION\n")
		options(&b, c)
	}
	b.WriteString(".SH FILES\n")
	for i := 0; i < len(p.Files); i += 2 {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", dashes(p.Files[i]), roff(p.Files[i+1]))
	}
	b.WriteString(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong command line.\n")
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", dashes(p.See))
	return b.String()
}

func options(b *strings.Builder, c command) {
	fmt.Fprintf(b, "%s\n", roff(c.About))
	for _, f := range c.Options {
		fmt.Fprintf(b, ".TP\n.B \\-\\-%s", dashes(f.Name))
		if f.Value != "" {
			fmt.Fprintf(b, " \\fI%s\\fP", roff(f.Value))
		}
		fmt.Fprintf(b, "\n%s\n", roff(f.About))
	}
}

// roff is a text of which no line is an instruction.
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			l = `\&` + l
		}
		lines[i] = strings.ReplaceAll(l, "--", `\-\-`)
	}
	return strings.Join(lines, "\n")
}

// dashes is roff for names that are typed as they stand.
func dashes(s string) string {
	s = strings.ReplaceAll(roff(strings.ReplaceAll(s, `\`, "")), `\-`, "-")
	return strings.ReplaceAll(s, "-", `\-`)
}

// zipped is a text as gzip -9n makes it: without name and time.
func zipped(text string) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
