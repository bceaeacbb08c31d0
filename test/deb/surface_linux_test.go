package deb

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// surface is docs/attack-surface.md: the rows of each table, by the section's title.
func surface(t *testing.T) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/attack-surface.md")
	if err != nil {
		t.Fatal(err)
	}
	tables, section := map[string][][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		} else if strings.HasPrefix(line, "| ") {
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			tables[section] = append(tables[section], cells)
		}
	}
	for section, rows := range tables {
		tables[section] = rows[1:]
	}
	return tables
}

// describedAsInstalled holds the list of docs/attack-surface.md against the machine: what is there is listed as it is.
func (m *machine) describedAsInstalled() {
	m.t.Helper()
	doc := surface(m.t)
	m.unitsAre(doc["Services"])
	m.socketsAre(doc["Sockets"])
	m.filesAre(doc["Files"])
	m.processesAre(doc["Processes"])
	m.nothingElseIsListed(doc)
}

// seldom is what the list has and a machine with the agent's package need not have at any one moment.
var seldom = []string{"stepaway-collector.service", "stepaway-collector", "stepaway-tray", "/etc/stepaway/enrolment-token",
	"/etc/stepaway/approvals/", "/etc/stepaway/approvals/*", "/run/stepaway/input.json", "/run/stepaway/policy/collector.json"}

// nothingElseIsListed is the other way round: what is listed is there.
func (m *machine) nothingElseIsListed(doc map[string][][]string) {
	m.t.Helper()
	units := m.Must("systemctl", "list-unit-files", "--no-legend", "stepaway*")
	for _, r := range doc["Services"] {
		if !slices.Contains(seldom, r[0]) && !strings.Contains(units, r[0]+" ") {
			m.t.Errorf("the unit %s is listed and not installed", r[0])
		}
	}
	processes := m.Must("ps", "-e", "-o", "args=")
	for _, r := range doc["Processes"] {
		program, _, _ := strings.Cut(r[0], " ")
		if !slices.Contains(seldom, program) && !strings.Contains(r[0], "--session") &&
			!strings.Contains(r[0], "Windows") && !strings.Contains(processes, "/usr/bin/"+r[0]) {
			m.t.Errorf("the process %s is listed and does not run", r[0])
		}
	}
	compared := 0
	for _, r := range slices.Concat(doc["Sockets"], doc["Files"]) {
		for path := range strings.SplitSeq(r[0], ", ") {
			if !strings.HasPrefix(path, "/") || slices.Contains(seldom, path) {
				continue
			}
			compared++
			if _, err := m.Run(m.t.Context(), "test", "-e", strings.TrimSuffix(path, "*")); err != nil {
				m.t.Errorf("%s is listed and not there", path)
			}
		}
	}
	if compared < 15 {
		m.t.Errorf("only %d paths were looked for", compared)
	}
}

// row is that of a table whose first cell is name.
func row(rows [][]string, name string) []string {
	i := slices.IndexFunc(rows, func(r []string) bool { return r[0] == name })
	if i < 0 {
		return nil
	}
	return rows[i]
}

func (m *machine) unitsAre(rows [][]string) {
	m.t.Helper()
	for line := range strings.Lines(m.Must("systemctl", "list-unit-files", "--no-legend", "stepaway*")) {
		unit := strings.Fields(line)[0]
		r := row(rows, unit)
		if r == nil {
			m.t.Errorf("the unit %s is not listed", unit)
			continue
		}
		if !strings.HasSuffix(unit, ".service") {
			continue
		}
		user := m.show(unit, "User")
		if user == "" {
			user = "root"
		}
		want := strings.Fields(r[2])
		got := strings.Fields(strings.ToUpper(m.show(unit, "CapabilityBoundingSet")))
		if r[2] == "none" {
			want = nil
		}
		slices.Sort(want)
		slices.Sort(got)
		if user != r[1] || !slices.Equal(got, want) {
			m.t.Errorf("%s runs as %s with %v; listed as %s with %v", unit, user, got, r[1], want)
		}
	}
}

func (m *machine) socketsAre(rows [][]string) {
	m.t.Helper()
	seen := 0
	for line := range strings.Lines(m.Must("cat", "/proc/net/unix")) {
		f := strings.Fields(line)
		if len(f) < 8 || f[3] != "00010000" || !strings.Contains(f[7], "stepaway") { // those that listen
			continue
		}
		seen++
		if r := row(rows, f[7]); r == nil || r[1] != m.Must("stat", "-c", "%U 0%a", f[7]) {
			m.t.Errorf("the socket %s (%s) is not listed so", f[7], m.Must("stat", "-c", "%U 0%a", f[7]))
		}
	}
	if seen != 1 {
		m.t.Errorf("%d sockets listen", seen)
	}
	for _, pid := range []string{m.show(agent, "MainPID"), m.show(courier, "MainPID")} { // neither listens on a network
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
			for line := range strings.Lines(m.Must("cat", "/proc/"+pid+"/net/"+table)) {
				if f := strings.Fields(line); len(f) > 3 && f[3] == "0A" && !strings.HasSuffix(f[1], ":0016") {
					m.t.Errorf("somebody listens in the network of %s: %s", pid, line)
				}
			}
		}
	}
}

func (m *machine) processesAre(rows [][]string) {
	m.t.Helper()
	for line := range strings.Lines(m.Must("ps", "-e", "-o", "user:20=,args=")) {
		user, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if args = strings.TrimSpace(args); !strings.HasPrefix(args, "/usr/bin/stepaway-") {
			continue
		}
		i := slices.IndexFunc(rows, func(r []string) bool { return strings.HasPrefix(args, "/usr/bin/"+r[0]) })
		if i < 0 || rows[i][1] != user && rows[i][1] != "the user" {
			m.t.Errorf("%s runs %s: not listed so", user, args)
		}
	}
}

func (m *machine) filesAre(rows [][]string) {
	m.t.Helper()
	found := m.Must("find", "/etc/stepaway", "/run/stepaway", "/var/lib/stepaway", "-printf", "%p %u %#m %y\n") + "\n" +
		m.Must("sh", "-c", "find $(dpkg -L stepaway) -maxdepth 0 -type f ! -path '/usr/share/*' ! -path '/etc/stepaway/*' -printf '%p %u %#m %y\n' 2>/dev/null || true") // this machine leaves manuals out
	listed := 0
	for line := range strings.Lines(found) {
		f := strings.Fields(line)
		if f[3] == "s" {
			continue
		}
		path := f[0]
		if f[3] == "d" {
			path += "/"
		}
		i := slices.IndexFunc(rows, func(r []string) bool { return covers(r[0], path) })
		switch {
		case i < 0:
			m.t.Errorf("%s (%s %s) is not listed", path, f[1], f[2])
		case !allows(rows[i], path, f[1], f[2]):
			m.t.Errorf("%s is %s %s, listed as %s", path, f[1], f[2], rows[i][1])
		default:
			listed++
		}
	}
	if listed < 15 {
		m.t.Errorf("only %d files were compared", listed)
	}
}

// covers reports whether one of the paths of a row is this one. A directory of a row stands for all below it.
func covers(cell, path string) bool {
	for p := range strings.SplitSeq(cell, ", ") {
		if p == path || strings.HasSuffix(p, "/*") && strings.HasPrefix(path, strings.TrimSuffix(p, "*")) {
			return true
		}
	}
	return false
}

// allows reports whether owner and mode are those of the row, or below a directory only its owner's.
func allows(r []string, path, owner, mode string) bool {
	if !strings.HasSuffix(r[0], "/*") {
		return r[1] == owner+" "+mode
	}
	who, most, _ := strings.Cut(r[1], " ")
	return who == owner && (most == mode || most == "at most 0755" && mode[2]&2 == 0 && mode[3]&2 == 0 || most == "at most 0700" && mode[len(mode)-2:] == "00")
}

// sandboxed holds the figures of systemd-analyze security.
func (m *machine) sandboxed() {
	m.t.Helper()
	for unit, most := range map[string]string{agent: "40", courier: "20", "stepaway-enroll.service": "20"} {
		if out, err := m.Run(m.t.Context(), "systemd-analyze", "security", "--no-pager", "--threshold="+most, unit); err != nil {
			m.t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
