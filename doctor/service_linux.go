package doctor

import (
	"context"
	"strconv"
	"strings"
)

const (
	agentUnit   = "stepaway.service"
	courierUnit = "stepaway-courier.service"
)

// restarts of one unit that are worth a word.
const manyRestarts = 3

func agentService(ctx context.Context, m *Machine) []Finding   { return m.service(ctx, agentUnit) }
func courierService(ctx context.Context, m *Machine) []Finding { return m.service(ctx, courierUnit) }

func (m *Machine) service(ctx context.Context, unit string) []Finding {
	out, err := m.run(ctx, "systemctl", "show", unit, "-p", "LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result")
	if err != nil {
		return []Finding{m.unread(err, "state of %s", unit)}
	}
	s := shown(out)
	var fs []Finding
	switch {
	case s["LoadState"] != "loaded":
		return []Finding{fail("install the package, or run: stepaway-agent install", "%s is %s", unit, s["LoadState"])}
	case s["ActiveState"] != "active":
		fs = append(fs, fail("systemctl start "+unit+"; then: journalctl -u "+unit, "%s is %s (%s, %s)", unit, s["ActiveState"], s["SubState"], s["Result"]))
	}
	if on := s["UnitFileState"]; on != "enabled" && on != "static" && on != "generated" {
		fs = append(fs, fail("systemctl enable "+unit, "%s is %s: it will not start at boot", unit, on))
	}
	if n, _ := strconv.Atoi(s["NRestarts"]); n >= manyRestarts {
		fs = append(fs, warn("journalctl -p warning -u "+unit, "%s was started again %d times", unit, n))
	}
	if len(fs) == 0 {
		fs = append(fs, ok("%s is %s and %s", unit, s["ActiveState"], s["UnitFileState"]))
	}
	return fs
}

func linkAnswers(ctx context.Context, m *Machine) []Finding {
	st, err := m.Status()
	switch {
	case err != nil:
		return []Finding{fail("systemctl restart "+agentUnit, "no answer: %v", err)}
	case st.Version != m.Version:
		return []Finding{warn("systemctl restart "+agentUnit, "the running agent is %s, the installed one %s", st.Version, m.Version)}
	}
	fs := []Finding{ok("the agent answers, version %s", st.Version)}
	if st.Courier == nil {
		fs = append(fs, fail("systemctl restart "+courierUnit, "the courier is not connected; %d events wait in the agent's memory", st.Waiting))
	}
	if st.Dropped > 0 {
		fs = append(fs, warn("see the spool.gap events", "%d events were lost before the courier had them", st.Dropped))
	}
	for _, l := range st.Limits {
		fs = append(fs, note("", "%s", l))
	}
	return fs
}

func sessionInput(ctx context.Context, m *Machine) []Finding {
	st, err := m.Status()
	if err != nil {
		return []Finding{note("start the agent", "no agent answers")}
	}
	var fs []Finding
	if m.UID != 0 {
		fs = append(fs, note("run doctor as root", "only your own sessions are looked at"))
	}
	for _, s := range st.Sessions {
		why := strings.TrimPrefix(s.Why, "idle: ")
		switch source := sourceOf(why); {
		case !s.Readable || source == "none":
			fs = append(fs, fail("see the reason; evdev needs readable /dev/input, X11 needs the session's cookie", "session %s: input cannot be read: it will be locked in the middle of work: %s", s.ID, why))
		case source == "x11" && s.Seat != "":
			fs = append(fs, note("", "session %s: read from its display, where programs of the user could make input: %s", s.ID, why))
		default:
			fs = append(fs, ok("session %s: %s", s.ID, why))
		}
	}
	if len(st.Sessions) == 0 {
		fs = append(fs, ok("no session is open"))
	}
	return fs
}

// sourceOf reads the source from the agent's line of reasons.
func sourceOf(why string) string {
	_, ret, _ := strings.Cut(why, "ret=")
	ret, _, _ = strings.Cut(ret, "]")
	return ret
}
