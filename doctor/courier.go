package doctor

import (
	"context"
	"path/filepath"
	"time"
)

// records is what `stepaway-courier status --json` prints, as far as it is looked at here.
type records struct {
	Running   bool      `json:"running"`
	CertUntil time.Time `json:"certificate_until"`
	Waiting   uint64    `json:"waiting"`
	Bytes     int64     `json:"bytes"`
	Dropped   int64     `json:"dropped"`
	Collector string    `json:"collector"`
	Code      string    `json:"code"`
	Meaning   string    `json:"meaning"`
	ClockOff  string    `json:"clock_off"`
}

// When a certificate is about to end, and when the spool is about to be full.
const (
	certificateSoon = 5 * 24 * time.Hour
	spoolMost       = 64 << 20
	waitingMany     = 10000
)

func (m *Machine) records(ctx context.Context) (r records, wrong []Finding) {
	if m.UID != 0 {
		return r, []Finding{note("run doctor as "+asWho, "the courier's directory: only "+asWho+" may look")}
	}
	out, err := m.run(ctx, filepath.Join(m.Programs, "stepaway-courier"+suffix), "status", "--json", "--state", m.Courier)
	if err == nil {
		err = decode(out, &r)
	}
	if err != nil {
		return r, []Finding{warn("stepaway-courier status", "the courier's state cannot be read: %v", err)}
	}
	return r, nil
}

func collectorReached(ctx context.Context, m *Machine) []Finding {
	r, wrong := m.records(ctx)
	if wrong != nil {
		return wrong
	}
	if r.CertUntil.IsZero() {
		return []Finding{warn("stepaway-collector token DEVICE, then stepaway-courier enroll", "not enrolled: records stay on this machine")}
	}
	var fs []Finding
	switch left := time.Until(r.CertUntil); {
	case left <= 0:
		fs = append(fs, fail("enroll again", "the device's certificate ended on %s", r.CertUntil.Format(time.DateOnly)))
	case left < certificateSoon:
		fs = append(fs, warn("see that the collector can be reached", "the device's certificate ends on %s", r.CertUntil.Format(time.DateOnly)))
	default:
		fs = append(fs, ok("enrolled, certificate until %s", r.CertUntil.Format(time.DateOnly)))
	}
	if r.Collector != "up" {
		fs = append(fs, warn("see the network, the proxy and the collector; stepaway-courier status", "collector %s %s %s", r.Collector, r.Code, r.Meaning))
	}
	if r.ClockOff != "" {
		fs = append(fs, warn("keep both clocks in step", "this clock is %s from the collector's", r.ClockOff))
	}
	return fs
}

func spoolRoom(ctx context.Context, m *Machine) []Finding {
	r, wrong := m.records(ctx)
	if wrong != nil {
		return wrong
	}
	var fs []Finding
	if r.Dropped > 0 {
		fs = append(fs, fail("let the collector be reached; see spool.gap and spool.full", "%d records were dropped for want of room", r.Dropped))
	}
	if r.Bytes > spoolMost*3/4 {
		fs = append(fs, warn("let the collector be reached", "the spool has %d MiB of %d", r.Bytes>>20, spoolMost>>20))
	}
	if r.Waiting > waitingMany {
		fs = append(fs, warn("let the collector be reached", "%d records wait for the collector", r.Waiting))
	}
	if len(fs) == 0 {
		fs = append(fs, ok("%d records wait, %d KiB", r.Waiting, r.Bytes>>10))
	}
	return fs
}
