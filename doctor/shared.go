package doctor

import (
	"context"
	"errors"
	"os"
	"strings"
)

func linkAnswers(ctx context.Context, m *Machine) []Finding {
	st, err := m.Status()
	switch {
	case err != nil:
		return []Finding{fail(restartAgent, "no answer: %v", err)}
	case st.Version != m.Version:
		return []Finding{warn(restartAgent, "the running agent is %s, the installed one %s", st.Version, m.Version)}
	}
	fs := []Finding{ok("the agent answers, version %s", st.Version)}
	if st.Courier == nil {
		fs = append(fs, fail(restartCourier, "the courier is not connected; %d events wait in the agent's memory", st.Waiting))
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
		fs = append(fs, note("run doctor as "+asWho, "only your own sessions are looked at"))
	}
	for _, s := range st.Sessions {
		why := strings.TrimPrefix(s.Why, "idle: ")
		switch source := sourceOf(why); {
		case !s.Readable || source == "none":
			fs = append(fs, fail(whyUnreadable, "session %s: input cannot be read: it will be locked in the middle of work: %s", s.ID, why))
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

func policyTaken(_ context.Context, m *Machine) []Finding {
	var fs []Finding
	switch {
	case m.Wrong != nil && m.From == "files": // taken, and not kept
		fs = append(fs, warn("make room on the disk", "the policy cannot be kept: %v", m.Wrong))
	case m.Wrong != nil && errors.Is(m.Wrong, os.ErrPermission) && m.UID != 0:
		fs = append(fs, note("run doctor as "+asWho, "policy: only "+asWho+" may look"))
	case m.Wrong != nil:
		fs = append(fs, fail("stepaway-agent policy check "+m.Policy, "the policy is not taken, %s rules: %s", m.From, oneLine(m.Wrong.Error())))
	case m.From != "files":
		fs = append(fs, note("write "+m.Policy, "no policy: %s rules, limit %s", m.From, m.InForce.Limit))
	}
	for _, a := range m.InForce.Advice() {
		fs = append(fs, warn("see docs/policy.md", "%s", a))
	}
	for _, p := range m.Problems {
		fs = append(fs, warn("correct the file of approval.allowed_signers", "a signer does not count: %s", oneLine(p)))
	}
	if len(fs) == 0 {
		fs = append(fs, ok("taken from %s, limit %s", m.From, m.InForce.Limit))
	}
	return fs
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }
