package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// rule is one line of a PAM stack of type auth, as libpam would run it.
type rule struct {
	level   int            // 0, or how deep in substacks
	begins  bool           // begins a substack; calls no module
	actions map[string]int // by return value; "default" for the others
	module  string         // name without directory
	args    []string
	file    string
	line    int
	bad     string // why libpam could not use the line; it then fails
}

func (r rule) String() string { return fmt.Sprintf("line %d of %s", r.line, r.file) }

// Actions; a positive number skips so many rules.
const (
	actOK = -1 - iota
	actBad
	actDie
	actDone
	actIgnore
	actReset
)

var actionNames = map[string]int{"ok": actOK, "bad": actBad, "die": actDie, "done": actDone, "ignore": actIgnore, "reset": actReset}

// controls are the words for what pam.conf(5) says they stand for.
var controls = map[string]map[string]int{
	"required":   {"success": actOK, "new_authtok_reqd": actOK, "ignore": actIgnore, "default": actBad},
	"requisite":  {"success": actOK, "new_authtok_reqd": actOK, "ignore": actIgnore, "default": actDie},
	"sufficient": {"success": actDone, "new_authtok_reqd": actDone, "default": actIgnore},
	"optional":   {"success": actOK, "new_authtok_reqd": actOK, "default": actIgnore},
}

// pamDirs are where services are looked for; the first that has one counts.
var pamDirs = []string{"/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"}

// maxNesting is how deep files may include one another, as in libpam.
const maxNesting = 32

// maxRules bounds what files that include one another many times can make.
const maxRules = 2000

// errLoop is the error of files that include one another without end.
var errLoop = errors.New("files include one another without end")

// pamReader reads PAM's files; it refuses those that others than root can change.
type pamReader func(path string) (text string, err error)

// stack reads the auth rules that libpam runs for a service: its file's, or those of the service other.
func (read pamReader) stack(service string) (rules []rule, from string, err error) {
	for _, s := range []string{service, "other"} {
		p := pamParse{read: read}
		err := p.include(s, 0, 0)
		if errors.Is(err, fs.ErrNotExist) && len(p.rules) == 0 && !p.opened {
			continue
		}
		if err != nil {
			return nil, s, err
		}
		if len(p.rules) > 0 {
			return p.rules, s, nil
		}
	}
	return nil, "", nil
}

type pamParse struct {
	read   pamReader
	rules  []rule
	opened bool
}

// open finds a service's or included file.
func (p *pamParse) open(name string) (text, at string, err error) {
	if path.IsAbs(name) {
		text, err = p.read(name)
		return text, name, err
	}
	for _, dir := range pamDirs {
		at = path.Join(dir, name)
		if text, err = p.read(at); !errors.Is(err, fs.ErrNotExist) {
			return text, at, err
		}
	}
	return "", at, err
}

func (p *pamParse) include(name string, level, deep int) error {
	if deep > maxNesting || len(p.rules) > maxRules {
		return errLoop
	}
	text, at, err := p.open(name)
	if err != nil {
		return err
	}
	p.opened = true
	for n, line := range joined(text) {
		if line == "" {
			continue
		}
		if err := p.take(line, at, n+1, level, deep); err != nil {
			return err
		}
	}
	return nil
}

// joined gives a file's lines without comments; one that a backslash continues is given where it begins.
func joined(text string) []string {
	lines := strings.Split(text, "\n")
	out := make([]string, len(lines))
	at, more := 0, false
	for i, l := range lines {
		if !more {
			at = i
		}
		l, _, commented := strings.Cut(l, "#")
		l = strings.TrimSpace(l)
		more = !commented && strings.HasSuffix(l, `\`)
		out[at] = strings.TrimSpace(out[at] + " " + strings.TrimSuffix(l, `\`))
	}
	return out
}

// take takes one line: type, control, module or file, arguments.
func (p *pamParse) take(line, file string, n, level, deep int) error {
	words := pamWords(line)
	if strings.EqualFold(words[0], "@include") {
		if len(words) < 2 {
			return fmt.Errorf("line %d of %s: @include of nothing", n, file)
		}
		return p.missing(p.include(words[1], level, deep+1), words[1], file, n, level)
	}
	if !strings.EqualFold(strings.TrimPrefix(words[0], "-"), "auth") {
		return nil
	}
	r := rule{level: level, file: file, line: n}
	if len(words) < 3 {
		r.bad, r.actions = "incomplete", controls["required"]
		p.rules = append(p.rules, r)
		return nil
	}
	switch control := strings.ToLower(words[1]); control {
	case "include":
		return p.missing(p.include(words[2], level, deep+1), words[2], file, n, level)
	case "substack":
		r.begins = true
		p.rules = append(p.rules, r)
		return p.missing(p.include(words[2], level+1, deep+1), words[2], file, n, level)
	default:
		if r.actions = actionsOf(control); r.actions == nil {
			r.bad, r.actions = "unknown control", controls["required"]
		}
	}
	r.module, r.args = path.Base(words[2]), words[3:]
	p.rules = append(p.rules, r)
	return nil
}

// missing turns a file that is not there into a rule that fails: libpam lets nobody in then.
func (p *pamParse) missing(err error, name, file string, n, level int) error {
	if errors.Is(err, fs.ErrNotExist) {
		p.rules = append(p.rules, rule{level: level, file: file, line: n, bad: name + " is missing", actions: controls["requisite"]})
		return nil
	}
	return err
}

// pamWords splits a line; what is in square brackets is one word.
func pamWords(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t")
		if line[0] == '[' {
			end = strings.IndexByte(line, ']') + 1
		}
		if end <= 0 {
			end = len(line)
		}
		out = append(out, line[:end])
		line = line[end:]
	}
	return out
}

// actionsOf reads a control field; nil if libpam would not know it.
func actionsOf(control string) map[string]int {
	list, bracket := strings.CutPrefix(control, "[")
	if !bracket {
		return controls[control]
	}
	out := map[string]int{}
	for _, pair := range strings.Fields(strings.TrimSuffix(list, "]")) {
		value, action, found := strings.Cut(pair, "=")
		act, known := actionNames[action]
		if jump, err := strconv.Atoi(action); err == nil && jump >= 0 {
			act, known = jump, true
			if jump == 0 {
				act = actIgnore
			}
		}
		if !found || !known {
			return nil
		}
		out[value] = act
	}
	return out
}
