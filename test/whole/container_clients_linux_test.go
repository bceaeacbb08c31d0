package whole

import (
	"context"
	"testing"

	"stepaway/audit"
	"stepaway/clock"
	"stepaway/link"
	"stepaway/test/rig"
)

const leaves = `limit: 8s
warning: 2s
action: close-clients-and-lock
clients:
  - name: EHR
    paths: [/opt/ehr/*/client]
    grace: 10s
    busy_file: /run/ehr/busy
    busy_most: 5m
    caches: [.cache/ehr]
    clear_clipboard: true
`

// A busy client is closed when it may be, while the desktop is locked at once; then nothing of what it showed is left, and what
// it was is said nowhere.
func TestMachineBusyClientIsClosedAndClearedLater(t *testing.T) {
	m := install(t, calm)
	m.Copy(rig.Tool(t, "xclip"), "/usr/bin/xclip")
	c := canaries{"cache": "", "root's file": "", "selection": "", "link": ""}
	for place := range c {
		c[place] = newCanaries()["keys"]
	}
	m.Must("sh", "-c", "mkdir -p /opt/ehr/2.1 /opt/ehr/2.2 /run/ehr && cp /usr/bin/sleep /opt/ehr/2.1/client && cp /usr/bin/sleep /opt/ehr/2.2/other && touch /run/ehr/busy")
	id := m.desktop("/opt/ehr/2.1/client 1000 & /opt/ehr/2.2/other 1000 &", "echo -n "+c["selection"]+" | xclip -selection clipboard -i -quiet &",
		"mkdir -p $HOME/.cache/ehr/a; touch $HOME/kept $HOME/.cache/ehr/a/"+c["cache"]+"; ln -s $HOME/kept $HOME/.cache/ehr/"+c["link"], rig.ObeysLock)
	m.WaitFor("the client", func() bool { return len(m.find("nurse", "/opt/ehr/2.1/client")) == 1 })
	m.Must("touch", "/home/nurse/.cache/ehr/"+c["root's file"])
	pasted := func() string {
		out, _ := m.Run(context.Background(), "runuser", "-u", "nurse", "--", "env", "DISPLAY="+rig.Display, "XAUTHORITY=/home/nurse/.Xauthority",
			"timeout", "20", "xclip", "-selection", "clipboard", "-o")
		return out
	}
	m.WaitFor("the clipboard", func() bool { return pasted() == c["selection"] })

	last := m.under(leaves)
	e := m.await(last.to, audit.LockProved, "session="+id, "proof=locker")
	m.none(last.from, audit.ClientClose)
	if len(m.find("nurse", "/opt/ehr/2.1/client")) != 1 || pasted() != c["selection"] {
		t.Error("the client, or its clipboard, did not wait")
	}
	since := clock.Now()
	m.Must("rm", "/run/ehr/busy")
	m.await(since, audit.ClientClose, "client=EHR", "count=1", "code=busy", "reason=idle")
	m.await(since, audit.ClientClosed, "client=EHR", "count=1", "code=busy")
	m.await(since, audit.ClientCleared, "client=EHR", "count=3", "code=cache", "severity=info")
	m.await(since, audit.ClientFailed, "client=EHR", "count=1", "code=cache", "severity=alert", "outcome=failure")
	m.await(since, audit.ClientCleared, "client=EHR", "count=1", "code=clipboard")
	m.none(at(e), audit.LockFailed)
	m.phase(id, link.Secured)
	if pasted() == c["selection"] {
		t.Error("the clipboard is not empty")
	}
	m.Must("test", "-e", "/home/nurse/kept", "-a", "-e", "/home/nurse/.cache/ehr/"+c["root's file"], "-a", "!", "-e", "/home/nurse/.cache/ehr/a")
	if len(m.find("nurse", "/opt/ehr/2.2/other")) != 1 {
		t.Error("a program beside the client was closed")
	}
	m.delivered()
	m.verified()
	c.kept(m)
}
