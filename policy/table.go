package policy

import (
	"path"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Weaker says in which direction a value of a setting makes the policy weaker.
type Weaker string

const (
	Longer  Weaker = "longer"  // a longer duration is weaker
	Earlier Weaker = "earlier" // an earlier word of Words is weaker
	Change  Weaker = "change"  // any change may be weaker and is treated as such
	Neither Weaker = "neither" // neither direction is weaker
)

// Definition is one setting: the only place where it is described.
type Definition struct {
	Key     string // as in policy.yaml, sections joined by dots
	Title   string
	Help    string
	Since   string // first release
	Kind    string // duration, word, switch, text, command, clients, roles
	Words   []string
	Min     time.Duration // bounds of a duration, both allowed
	Max     time.Duration
	OrZero  bool // a duration may also be 0, which means never
	Weaker  Weaker
	Default string // as it would be written in policy.yaml

	read func(*Policy) any
	take func(*Policy, *yaml.Node) error
}

// Bounds of durations.
const (
	MinLimit = 5 * time.Second
	MaxLimit = 24 * time.Hour
)

// actions from the weakest to the strictest.
var actions = []string{string(CloseClients), string(Lock), string(CloseClientsAndLock), string(Disconnect), string(SignOut)}

// leastProofs are the proofs that a policy may ask for, from the weakest to the strictest.
var leastProofs = []string{string(ProofClaim), string(ProofLocker), string(ProofGreeter)}

// Definitions is every setting, in the order in which it is documented.
var Definitions = []Definition{
	duration(Definition{Key: "limit", Title: "Inactivity limit", Since: "0.1",
		Help: "A session without input for this long is secured.",
		Min:  MinLimit, Max: MaxLimit, Weaker: Longer, Default: "15m"}, func(p *Policy) *time.Duration { return &p.Limit }),
	duration(Definition{Key: "warning", Title: "Warning before the limit", Since: "0.1",
		Help: "The user is warned this long before the deadline. At most half of the limit is used.",
		Min:  0, Max: time.Hour, Weaker: Neither, Default: "5m"}, func(p *Policy) *time.Duration { return &p.Warning }),
	word(Definition{Key: "action", Title: "Action at the deadline", Since: "0.1",
		Help:  "What is done to a desktop at the deadline. Terminal and ssh sessions are ended.",
		Words: actions, Weaker: Earlier, Default: "lock"}, func(p *Policy) *Action { return &p.Action }),
	duration(Definition{Key: "stages.close_clients_after", Title: "Close clients after", Since: "0.1",
		Help: "EHR clients are closed when a session has been secured this long. 0s: never.",
		Min:  time.Second, Max: MaxLimit, OrZero: true, Weaker: Longer, Default: "0s"},
		func(p *Policy) *time.Duration { return &p.Stages.CloseClientsAfter }),
	duration(Definition{Key: "stages.sign_out_after", Title: "Sign out after", Since: "0.1",
		Help: "A session that has been secured this long is ended. 0s: never.",
		Min:  time.Second, Max: 7 * MaxLimit, OrZero: true, Weaker: Longer, Default: "0s"},
		func(p *Policy) *time.Duration { return &p.Stages.SignOutAfter }),
	word(Definition{Key: "lock.proof", Title: "Least proof of a lock", Since: "0.1",
		Help:  "A lock counts only when it is proved this well. Otherwise the next rung of the ladder is tried.",
		Words: leastProofs, Weaker: Earlier, Default: "locker"}, func(p *Policy) *Proof { return &p.Lock.Proof }),
	command(Definition{Key: "lock.fallback", Title: "Fallback locker", Since: "0.1",
		Help:   "Command of a locker that is started when the desktop's own does not lock. Absolute path first.",
		Weaker: Change, Default: "[]"}, func(p *Policy) *[]string { return &p.Lock.Fallback }),
	toggle(Definition{Key: "lock.terminate", Title: "End the session when nothing locks", Since: "0.1",
		Help:  "Whether a session that no locker secures is ended as the last resort. Unsaved work is lost.",
		Words: []string{"false", "true"}, Weaker: Earlier, Default: "false"}, func(p *Policy) *bool { return &p.Lock.Terminate }),
	{Key: "clients", Title: "EHR clients", Since: "0.1", Kind: "clients",
		Help:   "Programs to close: name, paths of the executables, at_deadline (close, end or leave), grace.",
		Weaker: Change, Default: "[]",
		read: func(p *Policy) any { return p.Clients }, take: takeClients},
	{Key: "roles", Title: "Roles", Since: "0.1", Kind: "roles",
		Help:   "Groups with a limit or an action of their own. Of several roles the strictest counts.",
		Weaker: Change, Default: "[]",
		read: func(p *Policy) any { return p.Roles }, take: takeRoles},
	text(Definition{Key: "collector.url", Title: "Collector", Since: "0.1",
		Help: "Where events are delivered, an https address.", Weaker: Change, Default: ""},
		func(p *Policy) *string { return &p.Collector.URL }, httpsURL),
	text(Definition{Key: "collector.ca", Title: "Collector's CA", Since: "0.1",
		Help: "File with the certificate authority of the collector. Empty: the one received at enrolment.", Weaker: Change, Default: ""},
		func(p *Policy) *string { return &p.Collector.CA }, absolutePath),
	toggle(Definition{Key: "approval.required", Title: "Second signature for a weaker policy", Since: "0.1",
		Help:  "Whether a weaker policy needs the approval of a second person. Not enforced in this release: a weaker policy raises an alert.",
		Words: []string{"false", "true"}, Weaker: Earlier, Default: "false"}, func(p *Policy) *bool { return &p.Approval.Required }),
	text(Definition{Key: "approval.allowed_signers", Title: "Allowed signers", Since: "0.1",
		Help: "File with the keys that may approve, in the format of ssh-keygen. Not used in this release.", Weaker: Change, Default: ""},
		func(p *Policy) *string { return &p.Approval.AllowedSigners }, absolutePath),
}

// Default is the strict policy that rules where nothing else does.
func Default() Policy {
	var p Policy
	for _, d := range Definitions {
		n := mustNode(d.Default)
		if err := d.take(&p, n); err != nil {
			panic("policy: default of " + d.Key + ": " + err.Error())
		}
	}
	return p
}

// Value of a setting in p, for printing: durations in the policy's own words.
func (d Definition) Value(p *Policy) any {
	switch v := d.read(p).(type) {
	case *time.Duration:
		return Duration(*v)
	case *bool:
		return *v
	case *string:
		return *v
	case *[]string:
		return nonNil(*v)
	case *Action:
		return string(*v)
	case *Proof:
		return string(*v)
	case []Client:
		return clientValues(v)
	case []Role:
		return roleValues(v)
	default:
		panic("policy: " + d.Key + " has a type that Value does not know")
	}
}

// Duration writes d as a policy does: "15m", "1h30m", "20s".
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func duration(d Definition, at func(*Policy) *time.Duration) Definition {
	d.Kind = "duration"
	d.read = func(p *Policy) any { return at(p) }
	d.take = func(p *Policy, n *yaml.Node) error {
		v, err := durationOf(n, d.Min, d.Max, d.OrZero)
		if err == nil {
			*at(p) = v
		}
		return err
	}
	return d
}

func word[W ~string](d Definition, at func(*Policy) *W) Definition {
	d.Kind = "word"
	d.read = func(p *Policy) any { return at(p) }
	d.take = func(p *Policy, n *yaml.Node) error {
		v, err := wordOf(n, d.Words)
		if err == nil {
			*at(p) = W(v)
		}
		return err
	}
	return d
}

func toggle(d Definition, at func(*Policy) *bool) Definition {
	d.Kind = "switch"
	d.read = func(p *Policy) any { return at(p) }
	d.take = func(p *Policy, n *yaml.Node) error {
		v, err := wordOf(n, d.Words)
		if err == nil {
			*at(p) = v == "true"
		}
		return err
	}
	return d
}

func text(d Definition, at func(*Policy) *string, check func(string) error) Definition {
	d.Kind = "text"
	d.read = func(p *Policy) any { return at(p) }
	d.take = func(p *Policy, n *yaml.Node) error {
		v, err := textOf(n)
		if err == nil && v != "" {
			err = check(v)
		}
		if err == nil {
			*at(p) = v
		}
		return err
	}
	return d
}

func command(d Definition, at func(*Policy) *[]string) Definition {
	d.Kind = "command"
	d.read = func(p *Policy) any { return at(p) }
	d.take = func(p *Policy, n *yaml.Node) error {
		v, err := textsOf(n)
		if err == nil && len(v) > 0 {
			err = absolutePath(v[0])
		}
		if err == nil {
			*at(p) = v
		}
		return err
	}
	return d
}

func absolutePath(s string) error {
	if !strings.HasPrefix(s, "/") || path.Clean(s) != s || s == "/" {
		return errorf("%q is not a clean absolute path; write it like /usr/bin/program", printable(s))
	}
	return nil
}
