package whole

import (
	"context"
	"crypto/rand"
	"strings"
)

// canaries are words that stand for what must never be recorded: one for each place where a program could find it.
type canaries map[string]string

// places are shell lines that put a word where patient data may be.
var places = map[string]string{
	"title":       `xmessage -title WORD -name WORD -timeout 100000 record &`,
	"text":        `xmessage WORD &`,
	"argument":    `sh -c 'sleep 100000; :' WORD &`,
	"program":     `cp /usr/bin/sleep $HOME/WORD; $HOME/WORD 100000 &`,
	"name":        `(exec -a WORD sleep 100000) &`,
	"environment": `PATIENT=WORD sleep 100000 &`,
	"file":        `echo x >$HOME/WORD.txt; tail -f $HOME/WORD.txt >/dev/null &`,
	"directory":   `mkdir $HOME/WORD; (cd $HOME/WORD; exec sleep 100000) &`,
	"clipboard":   `xprop -root -f CUT_BUFFER0 8s -set CUT_BUFFER0 WORD`,
}

func newCanaries() canaries {
	c := canaries{"keys": "", "notification": ""}
	for place := range places {
		c[place] = ""
	}
	for place := range c {
		c[place] = "canary" + strings.ToLower(rand.Text())
	}
	return c
}

// planted adds the canaries to the lines of a session.
func (c canaries) planted(lines ...string) []string {
	for place, line := range places {
		lines = append(lines, strings.ReplaceAll(line, "WORD", c[place]))
	}
	return lines
}

// sing types one canary and has another shown by the notification service, and makes sure that they can be found.
func (c canaries) sing(m *machine) {
	m.t.Helper()
	m.xdo("type", "--delay", "20", c["keys"])
	m.Must("runuser", "-u", "nurse", "--", "env", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus",
		"notify-send", "-t", "0", c["notification"], c["notification"])
	for _, place := range []string{"argument", "program", "name"} {
		if _, err := m.Run(context.Background(), "pgrep", "-f", c[place]); err != nil {
			m.t.Errorf("the canary in the %s of a process is not there", place)
		}
	}
}

// kept fails the test if a canary is in anything that Stepaway keeps or says.
func (c canaries) kept(m *machine) {
	m.t.Helper()
	m.Must("sh", "-c", "journalctl --no-pager -o export -u "+agent+" -u "+courier+" -u collector -u 'stepaway-*' >/root/said; "+
		"journalctl --no-pager -o cat _EXE=/usr/bin/stepaway-agent + _EXE=/usr/bin/stepaway-tray + _EXE=/usr/bin/stepaway-courier >>/root/said")
	where := []string{"/var/lib/stepaway", "/run/stepaway", "/etc/stepaway", data, "/root/said"}
	found := func(word string) string {
		out, _ := m.Run(context.Background(), append([]string{"grep", "-raliF", "-e", word}, where...)...)
		return strings.TrimSpace(out)
	}
	for _, dir := range []string{"/var/lib/stepaway", data} {
		if !strings.Contains(found("nurse"), dir) {
			m.t.Errorf("the user's name is not found in %s, so nothing would be", dir)
		}
	}
	for place, word := range c {
		if files := found(word); files != "" {
			m.t.Errorf("what stood in the %s is kept in %s", place, files)
		}
	}
}
