package whole

import (
	"context"
	"strings"
	"testing"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

const keep = "/var/lib/stepaway/courier"

// Whatever happens to the records, the lock is on time; and the records come through.
func TestMachineRecordsTroubleDelaysNoLock(t *testing.T) {
	m := install(t, calm)
	id := m.desktop(rig.ObeysLock)
	// held says whether events must wait in the agent meanwhile; a spool with free pages needs no more disk.
	const no, yes, maybe = 0, 1, 2
	locked := func(what string, held int, trouble, over func()) {
		t.Helper()
		trouble()
		last := m.under(brisk)
		m.phase(id, link.Secured)
		if n := m.status().Waiting; held != maybe && (n > 0) != (held == yes) {
			t.Errorf("%s: %d events wait in the agent", what, n)
		}
		over()
		m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
		m.await(last.to, audit.LockProved, "proof=locker", "rung=logind")
		m.unlock(id)
		m.rule(calm)
		m.delivered()
		m.step(what)
	}
	stop, start := func() { m.Must("systemctl", "stop", courier) }, func() { m.Must("systemctl", "start", courier) }

	locked("the courier is killed again and again", no, func() {
		for range 5 {
			m.kill(courier)
		}
	}, func() { m.signal(courier, "KILL") })

	const sooner = "/run/systemd/system/" + courier + ".d/sooner.conf" // than after the unit's three minutes
	m.Must("sh", "-c", "mkdir -p $(dirname "+sooner+") && printf '[Service]\nWatchdogSec=40\n' >"+sooner+
		" && systemctl daemon-reload && systemctl restart "+courier)
	before := m.restarts(courier)
	locked("the courier hangs, until its watchdog ends it", yes, func() { m.signal(courier, "STOP") }, func() {})
	if n := m.restarts(courier) - before; n != 1 {
		t.Errorf("the courier was started %d times anew after it hung", n)
	}
	m.Must("sh", "-c", "rm "+sooner+" && systemctl daemon-reload && systemctl restart "+courier)

	damaged := clock.Now()
	locked("the courier is stopped, its spool damaged", yes, stop, func() {
		m.Must("sh", "-c", "f="+keep+"/spool/spool.db; s=$(stat -c %s $f); "+
			"dd if=/dev/urandom of=$f bs=1 seek=64 count=$((s/2)) conv=notrunc status=none")
		start()
	})
	m.await(damaged, audit.SpoolQuarantined, "severity=alert")
	if out := m.Must("ls", keep+"/spool"); !strings.Contains(out, ".bad-") {
		t.Errorf("the damaged spool was not set aside: %s", out)
	}

	stop() // the rest on a disk of its own
	m.Must("sh", "-c", "cp -a "+keep+" /root/kept && mount -t tmpfs -o size=4m,mode=700 tmpfs "+keep+
		" && cp -a /root/kept/. "+keep+"/")
	start()
	locked("the disk is full", maybe, func() {
		_, _ = m.Run(context.Background(), "dd", "if=/dev/zero", "of="+keep+"/filler", "bs=4k")
	}, func() { m.Must("rm", keep+"/filler") })
	locked("the disk is read-only", yes, func() {
		stop()
		m.Must("mount", "-o", "remount,ro", keep)
		m.Must("systemctl", "start", "--no-block", courier) // it cannot, and is started again and again
	}, func() { m.Must("mount", "-o", "remount,rw", keep) })

	if st := m.status(); st.Dropped != 0 {
		t.Errorf("%d events were dropped", st.Dropped)
	}
	if n := m.restarts(agent); n != 0 {
		t.Errorf("the enforcer was started %d times anew", n)
	}
	m.verified()
}

// The policy says where the collector is.
func TestMachinePolicyMovesTheCollector(t *testing.T) {
	m := install(t, calm)
	m.delivered()
	m.Must("systemctl", "stop", "collector")
	since := m.rule(calm + "collector: {url: \"https://127.0.0.1:9443\"}\n")
	m.Must("systemd-run", "-q", "--unit=moved", "-p", "Type=notify", "stepaway-collector", "serve", "--data", data,
		"--listen", "127.0.0.1:9443")
	m.await(since, audit.PolicyLoaded)
	m.delivered()
	m.verified()
}
