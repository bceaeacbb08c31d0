package whole

import (
	"strings"
	"testing"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/test/rig"
)

// impostor speaks to the enforcer as the user may: it claims to be the tray, the courier and more, sends what no peer should,
// and with "flood" opens 200 connections and sends 10,000 frames and more, until after a deadline of brisk.
const impostor = `
import json, os, socket, struct, sys, threading, time
def frame(body): return struct.pack(">I", len(body)) + body
def say(**m): return frame(json.dumps(m).encode())
hello = say(hello={"role": "tray", "session": sys.argv[1], "version": "1"})
lies = [say(beat={}), say(beat={"idle_ms": 0}), say(beat={}, lock_now={}), say(stored={"run": "00000000", "n": 1 << 60}),
	say(courier={"epoch": "", "head": 0, "acked": 0, "bytes": 0, "collector": "up", "code": ""}), say(ask={}),
	say(state={"phase": "secured"}), say(extend={"until": 1 << 60}), frame(b"[" * 60000), frame(os.urandom(4096)),
	struct.pack(">I", 0xffffffff), struct.pack(">I", 0), b"\0", frame(b'{"hello":{"role":"root"}}')]
greetings = [hello, b"", say(hello={"role": "courier", "version": "1"}), say(hello={"role": "status", "version": "1"})]
def connect():
	s = socket.socket(socket.AF_UNIX)
	s.settimeout(2)
	s.connect("/run/stepaway/link.sock")
	return s
def lie(n):
	try:
		s = connect()
		s.sendall(greetings[n % len(greetings)] + lies[n % len(lies)])
		s.recv(65536)
		s.close()
	except OSError:
		pass
kept = []
def hold():
	try: kept.append(connect())
	except OSError: pass
lied, end = [0] * 8, time.time() + 13
def work(k):
	while lied[k] < 1250 or time.time() < end:
		lie(lied[k] * 8 + k)
		lied[k] += 1
if len(sys.argv) > 2:
	for n in range(200): hold()
	threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
	for t in threads: t.start()
	for t in threads: t.join()
else:
	for n in range(60): lie(n)
print("lied", sum(lied), "times")
`

// Without its tray, and with liars in its place, the enforcer does the same.
func TestMachineTrayLostReplacedAndImitated(t *testing.T) {
	const program = "/usr/bin/stepaway-tray"
	m := install(t, calm)
	id := m.desktop("stepaway-tray &", rig.ObeysLock) // as autostart does
	has := func() bool { s, _ := m.guarded(id); return s.Tray }
	m.patiently("the tray", has)

	for _, sig := range []string{"KILL", "STOP"} {
		since, old := clock.Now(), m.find("nurse", program)
		if len(old) != 1 {
			t.Fatalf("trays: %v", old)
		}
		m.Must("kill", "-"+sig, old[0])
		m.await(since, audit.TrayLost, "session="+id, "severity=warning")
		m.await(since, audit.TrayRestored, "session="+id)
		if now := m.find("nurse", program); len(now) != 1 || now[0] == old[0] {
			t.Errorf("after %s the trays are %v, before %v", sig, now, old)
		}
		m.step("the tray is back after SIG" + sig)
	}

	m.Write("/usr/local/bin/liar", "#!/usr/bin/python3"+impostor, 0o755)
	since := clock.Now()
	last := m.under(brisk)
	m.Must("runuser", "-u", "nurse", "--", "/usr/local/bin/liar", id)
	m.await(since, audit.TrayImpostor, "session="+id, "severity=alert")
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "proof=locker")
	m.unlock(id)
	m.step("the liar gained nothing")

	last = m.touch()
	m.Must("systemd-run", "-q", "--unit=flood", "-p", "User=nurse", "/usr/local/bin/liar", id, "flood")
	m.onTime(last, limit, audit.LockRequested, "session="+id, "reason=idle")
	m.await(last.to, audit.LockProved, "proof=locker", "rung=logind")
	m.WaitFor("the end of the flood", func() bool {
		return strings.Contains(m.Must("journalctl", "-q", "--no-pager", "-u", "flood"), " times")
	})
	if out := m.Must("journalctl", "-q", "--no-pager", "-u", agent); strings.Contains(out, "panic") {
		t.Error("the enforcer panicked")
	}
	if n := m.restarts(agent); n != 0 {
		t.Errorf("the enforcer was started %d times anew", n)
	}
	m.delivered()
	m.verified()
}
