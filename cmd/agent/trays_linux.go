package main

import (
	"syscall"

	"stepaway/link"
	"stepaway/proc"
	"stepaway/session"
)

// endStuck ends a tray that was lost but lives, such as a stopped one: it would keep another from starting.
func (t *trays) endStuck(pid int32, s session.Session) {
	p, err := proc.Pin(int(pid))
	if err != nil {
		return
	}
	defer p.Close()
	if p.UID == s.UID && p.Exe == t.path {
		_ = p.Signal(syscall.SIGKILL) // gone already is as good
	}
}

// Running reports whether the peer's process can still show anything.
func (t *trays) Running(p link.Peer) bool {
	pr, err := proc.Read(int(p.PID))
	return err == nil && pr.Running()
}

// Genuine reports whether the peer runs the tray's own program. It does not tell whether its user has his hands in
// it: nothing that a tray says is believed anyway.
func (t *trays) Genuine(p link.Peer) bool {
	pr, err := proc.Read(int(p.PID))
	return err == nil && pr.Exe == t.path && pr.UID == p.UID
}
