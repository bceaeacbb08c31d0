package x11

import "fmt"

// Counters of the SYNC extension that a server keeps by itself.
const (
	CounterIdle = "IDLETIME"   // ms since the last input of any kind, injected input too
	CounterTime = "SERVERTIME" // the server's clock, ms; event times are its low 32 bits
)

const (
	syncInitialize  = 0
	syncList        = 1
	syncQuery       = 5
	syncCreateAlarm = 8
	maxCounters     = 4096
)

// Counters lists the server's own counters by name.
func (c *Conn) Counters() (map[string]uint32, error) {
	e, err := c.extension("SYNC")
	if err != nil {
		return nil, err
	}
	if _, err := c.ask(e.major, syncInitialize, []byte{3, 1, 0, 0}); err != nil {
		return nil, err
	}
	m, err := c.ask(e.major, syncList, nil)
	if err != nil {
		return nil, err
	}
	return parseCounters(m)
}

func parseCounters(m []byte) (map[string]uint32, error) {
	n := min(le.Uint32(m[8:]), maxCounters)
	s := scan{b: m[32:]}
	out := map[string]uint32{}
	for ; n > 0 && !s.short; n-- {
		id := s.u32()
		s.take(8) // resolution
		size := int(s.u16())
		name := string(s.take(size))
		s.take(pad(14 + size))
		if !s.short {
			out[name] = id
		}
	}
	return out, s.err("the list of counters")
}

// QueryCounter reads a counter.
func (c *Conn) QueryCounter(counter uint32) (int64, error) {
	e, err := c.extension("SYNC")
	if err != nil {
		return 0, err
	}
	m, err := c.ask(e.major, syncQuery, words(counter))
	if err != nil {
		return 0, err
	}
	s := scan{b: m[8:]}
	return s.i64(), nil
}

// Alarm asks for one event each time that counter falls below value (below), or rises to value (not below).
// It returns the alarm's name, which its events carry.
func (c *Conn) Alarm(counter uint32, value int64, below bool) (uint32, error) {
	e, err := c.extension("SYNC")
	if err != nil {
		return 0, err
	}
	id, err := c.NewID()
	if err != nil {
		return 0, err
	}
	test := uint32(0) // positive transition
	if below {
		test = 1
	}
	const counter1, atValue, testType, delta, events = 1, 4, 8, 16, 32
	body := words(id, counter1|atValue|testType|delta|events, counter, uint32(uint64(value)>>32), uint32(value), test, 0, 0, 1)
	return id, c.send(e.major, syncCreateAlarm, body)
}

// AlarmEvent is an alarm that went off.
type AlarmEvent struct {
	Alarm   uint32
	Counter int64  // its value
	Time    uint32 // server time, ms
}

// AlarmEvent reads e, and tells whether it is one.
func (c *Conn) AlarmEvent(e Event) (AlarmEvent, bool) {
	x := c.exts["SYNC"]
	if !x.present || e.Code != x.event+1 || len(e.Data) < 32 {
		return AlarmEvent{}, false
	}
	s := scan{b: e.Data[4:]}
	a := AlarmEvent{Alarm: s.u32(), Counter: s.i64()}
	s.i64()
	a.Time = s.u32()
	return a, !s.short
}

// ServerTime reads the server's clock in ms, on which event times are counted.
func (c *Conn) ServerTime() (int64, error) {
	list, err := c.Counters()
	if err != nil {
		return 0, err
	}
	id, ok := list[CounterTime]
	if !ok {
		return 0, fmt.Errorf("x11: the server has no counter %s", CounterTime)
	}
	return c.QueryCounter(id)
}
