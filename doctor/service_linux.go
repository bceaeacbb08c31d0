package doctor

import (
	"context"
	"strconv"
)

const (
	agentUnit   = "stepaway.service"
	courierUnit = "stepaway-courier.service"

	suffix         = "" // of a program's file name
	asWho          = "root"
	whyUnreadable  = "see the reason; evdev needs readable /dev/input, X11 needs the session's cookie"
	restartAgent   = "systemctl restart " + agentUnit
	restartCourier = "systemctl restart " + courierUnit
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
