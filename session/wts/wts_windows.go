package wts

import (
	"context"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"

	"stepaway/clock"
	"stepaway/session"
)

// Options say what is told.
type Options struct {
	Own bool // only the session of this process
}

// WTS tells who is logged on. It is safe for use by several goroutines.
type WTS struct {
	own     bool
	session uint32 // of this process
	names   *names
	notices *notices
	changed chan struct{}

	mu    sync.Mutex // one snapshot at a time
	facts facts
	sids  map[string]string // of accounts; LocalSystem needs none
}

// Open begins to listen to notices. Close it.
func (o Options) Open() (*WTS, error) {
	w := &WTS{own: o.Own, changed: make(chan struct{}, 1), sids: map[string]string{}}
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &w.session); err != nil {
		return nil, fmt.Errorf("ask for the session of this process: %w", err)
	}
	w.names = newNames(lookUp, w.signal)
	w.notices = listen(w.signal)
	return w, nil
}

// Changed ticks when a snapshot may have something new to say: somebody logged on or off, came, left, locked or unlocked.
func (w *WTS) Changed() <-chan struct{} { return w.changed }

// Close stops listening.
func (w *WTS) Close() { w.notices.close() }

func (w *WTS) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Snapshot tells of every session in which a user is logged on. It does not outlast ctx, even where Windows hangs.
func (w *WTS) Snapshot(ctx context.Context) ([]session.Session, error) {
	type result struct {
		list []session.Session
		err  error
	}
	done := make(chan result, 1)
	go func() {
		if !w.mu.TryLock() {
			done <- result{err: fmt.Errorf("read sessions: an earlier look has not ended")}
			return
		}
		defer w.mu.Unlock()
		list, err := w.read()
		done <- result{list, err}
	}()
	select {
	case r := <-done:
		return r.list, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read sessions: %w", ctx.Err())
	}
}

// read is a snapshot. w.mu is held.
func (w *WTS) read() ([]session.Session, error) {
	var first *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &n); err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	var rows []row
	for _, s := range unsafe.Slice(first, n) {
		if w.own && s.SessionID != w.session {
			continue
		}
		rows = append(rows, w.row(s.SessionID, state(s.State)))
	}
	return w.facts.sessions(rows, clock.Now()), nil
}

// Classes of WTSQuerySessionInformation, as in WTS_INFO_CLASS.
const (
	wtsUserName           = 5
	wtsWinStationName     = 6
	wtsDomainName         = 7
	wtsClientProtocolType = 16
	wtsSessionInfo        = 24
)

// row reads what there is to know of a session.
func (w *WTS) row(id uint32, st state) row {
	r := row{id: id, state: st}
	if id == 0 || !r.ofUser() {
		return r
	}
	user, err := ask(id, wtsUserName, parseText)
	r.user, r.userRead = user, err == nil
	if r.userRead && user == "" {
		return r
	}
	r.domain, _ = ask(id, wtsDomainName, parseText)
	r.station, _ = ask(id, wtsWinStationName, parseText)
	r.protocol, _ = ask(id, wtsClientProtocolType, parseProtocol)
	r.times, _ = ask(id, wtsSessionInfo, parseTimes)
	w.identity(&r)
	return r
}

// ask asks one thing about a session. An answer of no bytes is none, whatever Windows says of it.
func ask[T any](id, class uint32, parse func([]byte) (T, error)) (T, error) {
	var none T
	var buf *byte
	var n uint32
	if err := wtsQuerySessionInformation(0, id, class, &buf, &n); err != nil {
		return none, fmt.Errorf("ask for %d of session %d: %w", class, id, err)
	}
	if buf == nil {
		return none, errShort
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(buf)))
	return parse(unsafe.Slice(buf, n))
}
