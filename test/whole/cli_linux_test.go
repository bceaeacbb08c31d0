package whole

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stepaway/policy"
)

// outcome is what a command left.
type outcome struct {
	out, bad string
	code     int
}

// call runs one of the programs to its end, as an account if one is given, with nothing of the caller's environment.
func call(t *testing.T, uid uint32, line ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs(t), "stepaway-"+line[0]), line[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	cmd.Dir, cmd.WaitDelay = "/", time.Second
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{out.String(), bad.String(), cmd.ProcessState.ExitCode()}
}

// fails checks a command that has nothing to print but one line of error, which holds every want.
func (o outcome) fails(t *testing.T, line []string, code int, want ...string) {
	t.Helper()
	name := strings.Join(line, " ")
	if o.code != code || o.out != "" {
		t.Errorf("%s: exit %d, want %d; printed %q", name, o.code, code, o.out)
	}
	if strings.Count(o.bad, "\n") != 1 || !strings.HasSuffix(o.bad, "\n") || !strings.HasPrefix(o.bad, "stepaway-"+line[0]+": ") {
		t.Errorf("%s: not one line of its own on standard error: %q", name, o.bad)
	}
	for _, w := range want {
		if !strings.Contains(o.bad, w) {
			t.Errorf("%s: %q says nothing of %q", name, o.bad, w)
		}
	}
}

// commands are all there are, with the least that they need.
var commands = [][]string{
	{"agent", "run"}, {"agent", "status"}, {"agent", "doctor"}, {"agent", "policy"}, {"agent", "policy", "show"}, {"agent", "policy", "check"},
	{"agent", "policy", "diff"}, {"agent", "policy", "schema"}, {"agent", "policy", "sign"}, {"agent", "policy", "approve"},
	{"agent", "policy", "sign"}, {"agent", "policy", "approve"},
	{"agent", "state"}, {"agent", "state", "show"}, {"agent", "state", "approve"}, {"agent", "install"}, {"agent", "uninstall"}, {"agent", "version"},
	{"courier", "run"}, {"courier", "enroll"}, {"courier", "audit"}, {"courier", "audit", "verify"}, {"courier", "audit", "export"},
	{"courier", "status"}, {"courier", "version"},
	{"collector", "init"}, {"collector", "serve"}, {"collector", "token"}, {"collector", "revoke"}, {"collector", "devices"}, {"collector", "events"},
	{"collector", "verify"}, {"collector", "report"}, {"collector", "version"},
	{"collector", "retain"}, {"collector", "backup"}, {"collector", "restore"},
	{"tray"}, {"agent"}, {"courier"}, {"collector"},
}

func TestCommandsHaveHelp(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		for _, ask := range []string{"--help", "-h", "-help"} {
			line := append(append([]string{}, c...), ask)
			o := call(t, 0, line...)
			if o.code != 0 || o.bad != "" || !strings.Contains(o.out, "usage: stepaway-"+c[0]) {
				t.Errorf("%s: exit %d, standard error %q, printed %q", strings.Join(line, " "), o.code, o.bad, o.out)
			}
		}
	}
}

func TestCommandsRefuseUnknownFlagsAndWords(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		for _, more := range []string{"--nonsense", "--nonsense=1", "nonsense"} {
			line := append(append([]string{}, c...), more)
			if c[0] == "collector" && len(c) == 2 && (c[1] == "token" || c[1] == "revoke") || len(c) == 3 && c[2] == "check" {
				line = append(line, "another") // these take one word
			}
			call(t, 0, line...).fails(t, line, 2, "--help")
		}
	}
	for _, c := range []string{"agent", "courier", "collector"} {
		if o := call(t, 0, c); o.code != 2 || o.out != "" || !strings.Contains(o.bad, "usage: stepaway-"+c) {
			t.Errorf("%s alone: exit %d, printed %q, standard error %q", c, o.code, o.out, o.bad)
		}
	}
}

func TestVersionIsTheBuildsOwn(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{{"agent", "version"}, {"courier", "version"}, {"collector", "version"}, {"tray", "--version"}} {
		o := call(t, 65534, line...)
		if want := "stepaway-" + line[0] + " 0.0.1-test\n"; o != (outcome{out: want}) {
			t.Errorf("%v: %+v, want %q", line, o, want)
		}
	}
}

// token is well formed, and of no collector.
const token = "sa1.eyJkIjoid2FyZC03IiwiZiI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiLCJzIjoieCIsInUiOiJodHRwczovL2E6MSJ9"

func TestCommandsThatContradictOrMakeNoSense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		line []string
		want string
	}{
		{[]string{"agent", "run", "--session", "--state="}, "--state is empty"},
		{[]string{"agent", "run", "--policy", ""}, "--policy is empty"},
		{[]string{"agent", "run", "--session=maybe"}, "maybe"},
		{[]string{"agent", "run", "--state"}, "needs an argument"},
		{[]string{"agent", "status", "--state="}, "--state is empty"},
		{[]string{"agent", "policy", "show", "--policy="}, "--policy is empty"},
		{[]string{"agent", "policy", "check"}, "FILE is missing"},
		{[]string{"agent", "policy", "check", ""}, "name the policy file"},
		{[]string{"agent", "policy", "check", "a", "b"}, `"b"`},
		{[]string{"agent", "policy", "sign"}, "FILE is missing"},
		{[]string{"agent", "policy", "approve", "p.yaml", "--as", "a"}, "--key FILE is missing"},
		{[]string{"courier", "run", "--state="}, "--state is empty"},
		{[]string{"courier", "run", "--link="}, "--link is empty"},
		{[]string{"courier", "status", "--state", ""}, "--state is empty"},
		{[]string{"courier", "enroll"}, "--token is missing"},
		{[]string{"courier", "enroll", "--token", "sa1.x"}, "last line of"},
		{[]string{"courier", "enroll", "--token", token, "--collector", "https://b:2"}, "contradicts"},
		{[]string{"courier", "enroll", "--token", token, "--timeout", "soon"}, "soon"},
		{[]string{"courier", "audit", "export", "--format", "xml"}, "json, dicom, fhir and csv"},
		{[]string{"collector", "init", "--data="}, "--data is empty"},
		{[]string{"collector", "init", "--data", dir, "--host", "https://x"}, "without scheme"},
		{[]string{"collector", "serve", "--store", "mysql://x"}, "postgres://USER@HOST/DATABASE"},
		{[]string{"collector", "init", "--store", "here", "--data", dir}, "postgres://USER@HOST/DATABASE"},
		{[]string{"collector", "serve", "--retain", "6"}, "6y, 90d or 52560h"},
		{[]string{"collector", "retain", "--retain", "2d"}, "30d at least"},
		{[]string{"collector", "backup"}, "--to is missing"},
		{[]string{"collector", "restore"}, "--from is missing"},
		{[]string{"collector", "token"}, "DEVICE is missing"},
		{[]string{"collector", "token", "../x"}, "letters, digits"},
		{[]string{"collector", "token", "ward-7", "--ttl", "0s"}, "at most 720h"},
		{[]string{"collector", "token", "ward-7", "--url", "http://x"}, "https://HOST:PORT"},
		{[]string{"collector", "events", "--since", "yesterday"}, "2006-01-02"},
		{[]string{"collector", "report", "--since", "-1h"}, "2006-01-02"},
		{[]string{"tray", "--link="}, "--link is empty"},
	} {
		call(t, 0, c.line...).fails(t, c.line, 2, c.want)
	}
}

// What cannot be done is exit 1 with a line that says what to do.
func TestCommandsThatCannotBeDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("long", 30))
	const nobody = 65534
	for _, c := range []struct {
		uid  uint32
		line []string
		want string
	}{
		{nobody, []string{"agent", "run"}, "run --session"},
		{nobody, []string{"agent", "install"}, "needs root"},
		{nobody, []string{"agent", "uninstall"}, "needs root"},
		{nobody, []string{"agent", "run", "--session", "--state", "/proc/none"}, "make the state directory"},
		{0, []string{"agent", "run", "--session", "--state", long}, "shorter --state"},
		{0, []string{"agent", "run", "--session", "--state", file}, "make the state directory"},
		{0, []string{"agent", "status", "--state", dir}, "is the service running"},
		{0, []string{"agent", "status", "--json", "--session", "--state", dir}, "is the service running"},
		{0, []string{"agent", "policy", "check", file + "x"}, "no such file"},
		{0, []string{"courier", "status", "--state", dir}, "has the courier run?"},
		{0, []string{"courier", "audit", "verify", "--state", dir}, "has the courier run?"},
		{0, []string{"courier", "audit", "export", "--state", dir}, "has the courier run?"},
		{0, []string{"courier", "enroll", "--token", token, "--state", dir, "--collector", "https://a:1", "--timeout", "2s"}, "https://a:1"},
		{0, []string{"collector", "serve", "--data", dir}, "stepaway-collector init"},
		{0, []string{"collector", "verify", "--data", dir}, "stepaway-collector init"},
		{0, []string{"collector", "token", "ward-7", "--data", dir}, "stepaway-collector init"},
		{nobody, []string{"collector", "init", "--data", "/proc/none"}, "/proc/none"},
		{0, []string{"tray"}, "no display"},
	} {
		call(t, c.uid, c.line...).fails(t, c.line, 1, c.want)
	}
}

// A courier that has nowhere to keep events ends at once; what it logged before ends with the line that says why.
func TestCourierWithoutARoomOfItsOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, dir := range map[uint32]string{0: file, 65534: "/proc/none"} {
		o := call(t, uid, "courier", "run", "--state", dir)
		lines := strings.Split(strings.TrimSpace(o.bad), "\n")
		last := lines[len(lines)-1]
		if o.code != 1 || o.out != "" || len(lines) < 2 || len(lines) > 3 || !strings.HasPrefix(last, "stepaway-courier: open spool: ") || !strings.Contains(last, dir) {
			t.Errorf("in %s: %+v", dir, o)
		}
	}
}

func TestCollectorOnAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "collector")
	if o := call(t, 0, "collector", "init", "--data", dir); o.code != 0 || !strings.Contains(o.out, "CA fingerprint ") {
		t.Fatalf("%+v", o)
	}
	line := []string{"collector", "init", "--data", dir}
	call(t, 0, line...).fails(t, line, 1, dir)
	line = []string{"collector", "serve", "--data", dir, "--listen", "203.0.113.1:1"}
	o := call(t, 0, line...)
	if o.code != 1 || !strings.Contains(o.bad, "choose another address with --listen") {
		t.Errorf("%+v", o)
	}
	o = call(t, 0, "collector", "token", "ward-7", "--data", dir)
	if lines := strings.Split(o.out, "\n"); o.code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "sa1.") {
		t.Errorf("the token is not alone on standard output: %+v", o)
	}
	for _, verb := range []string{"devices", "events", "verify", "report"} {
		if o := call(t, 0, "collector", verb, "--json", "--data", dir); o.code != 0 || o.bad != "" {
			t.Errorf("%s: %+v", verb, o)
		}
	}
}

// shown is what `policy show --json` prints.
type shown struct {
	Hash     string           `json:"hash"`
	Settings []policy.Setting `json:"settings"`
}

func TestPolicyShowSaysWhereEachValueIsFrom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := writePolicy(t, dir, "limit: 7m\nlock: {proof: greeter}\n", 0o600)
	if err := os.Mkdir(filepath.Join(dir, "policy.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	over := filepath.Join(dir, "policy.d", "50-ward.yaml")
	if err := os.WriteFile(over, []byte("limit: 6m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := call(t, 0, "agent", "policy", "show", "--json", "--policy", path)
	var s shown
	if err := json.Unmarshal([]byte(o.out), &s); err != nil || o.code != 0 || o.bad != "" || len(s.Hash) != 64 {
		t.Fatalf("%v: %+v", err, o)
	}
	if len(s.Settings) != len(policy.Definitions) {
		t.Errorf("%d settings, want %d", len(s.Settings), len(policy.Definitions))
	}
	want := map[string][2]string{"limit": {"6m", over}, "lock.proof": {"greeter", path}, "warning": {"5m", policy.BuiltIn}}
	for _, v := range s.Settings {
		if v.Source == "" || v.Value == nil {
			t.Errorf("%s has no value or no source: %+v", v.Key, v)
		}
		if w, ok := want[v.Key]; ok && (v.Value != w[0] || !strings.Contains(v.Source, w[1])) {
			t.Errorf("%s is %v from %q, want %s from %s", v.Key, v.Value, v.Source, w[0], w[1])
		}
	}
	plain := call(t, 0, "agent", "policy", "show", "--policy", path)
	if plain.code != 0 || strings.Count(plain.out, "\n") != len(policy.Definitions) {
		t.Errorf("policy show: %+v", plain)
	}
}

func writePolicy(t *testing.T, dir, text string, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		owner      int
		symlink    bool
		code       int
		want       string // on standard output if code is 0, else on standard error
	}{
		{name: "good", text: "limit: 15m\n", code: 0, want: "ok: this policy would be taken"},
		{name: "short warning", text: "limit: 20s\n", code: 0, want: "2.2.1"},
		{name: "empty", text: "", code: 0, want: "ok: "},
		{name: "broken", text: "limit: [15m\n", code: 1, want: "policy.yaml:1:1: not YAML"},
		{name: "not YAML at all", text: "\x00\x01\x02", code: 1, want: "policy.yaml"},
		{name: "unknown key", text: "limt: 15m\n", code: 1, want: "limt"},
		{name: "twice", text: "limit: 15m\nlimit: 10m\n", code: 1, want: "limit"},
		{name: "limit of 4s", text: "limit: 4s\n", code: 1, want: "5s"},
		{name: "limit of a year", text: "limit: 8760h\n", code: 1, want: "24h"},
		{name: "limit of 0", text: "limit: 0s\n", code: 1, want: "5s"},
		{name: "negative", text: "limit: -15m\n", code: 1, want: "limit"},
		{name: "a number", text: "limit: 15\n", code: 1, want: "15m"},
		{name: "unknown word", text: "action: nothing\n", code: 1, want: "sign-out"},
		{name: "relative locker", text: "lock: {fallback: [i3lock]}\n", code: 1, want: "absolute path"},
		{name: "plain http", text: "collector: {url: \"http://x\"}\n", code: 1, want: "https"},
		{name: "wrong owner", text: "limit: 15m\n", owner: 65534, code: 1, want: "chown root"},
		{name: "world-writable", text: "limit: 15m\n", mode: 0o606, code: 1, want: "chmod go-w"},
		{name: "symlink", text: "limit: 15m\n", symlink: true, code: 1, want: "symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mode := c.mode
			if mode == 0 {
				mode = 0o644
			}
			dir := t.TempDir()
			path := writePolicy(t, dir, c.text, mode)
			if err := os.Chown(path, c.owner, -1); err != nil {
				t.Fatal(err)
			}
			if c.symlink {
				link := filepath.Join(dir, "link.yaml")
				if err := os.Symlink(path, link); err != nil {
					t.Fatal(err)
				}
				path = link
			}
			o := call(t, 0, "agent", "policy", "check", path)
			where := o.bad
			if c.code == 0 {
				where = o.out
			}
			if o.code != c.code || !strings.Contains(where, c.want) || c.code == 0 && o.bad != "" || c.code == 1 && o.out != "" {
				t.Errorf("exit %d, want %d with %q: printed %q, standard error %q", o.code, c.code, c.want, o.out, o.bad)
			}
			o = call(t, 0, "agent", "policy", "check", "--json", path)
			var v struct {
				OK       *bool            `json:"ok"`
				Problems []policy.Problem `json:"problems"`
			}
			if err := json.Unmarshal([]byte(o.out), &v); err != nil || o.code != c.code || v.OK == nil || *v.OK != (c.code == 0) || (len(v.Problems) > 0) != (c.code == 1) {
				t.Errorf("--json: %v: %+v", err, o)
			}
		})
	}
}

// TestPolicyShowSaysWhatHoldsForAUser asks for root, whom every system has in a group of his name.
func TestPolicyShowSaysWhatHoldsForAUser(t *testing.T) {
	t.Parallel()
	path := writePolicy(t, t.TempDir(), `limit: 12m
class: ward
classes: [{name: ward, action: sign-out}]
roles: [{name: admin, groups: [root], limit: 4m}, {name: other, groups: [nobody-has-this], limit: 1m}]
`, 0o600)
	o := call(t, 0, "agent", "policy", "show", "--policy", path, "--user", "root", "--json")
	var s struct {
		User    string
		Groups  []string
		InForce []struct{ Key, Value, From string } `json:"in_force"`
	}
	if err := json.Unmarshal([]byte(o.out), &s); err != nil || o.code != 0 || s.User != "root" || !slices.Contains(s.Groups, "root") {
		t.Fatalf("%v: %+v", err, o)
	}
	got := map[string]string{}
	for _, p := range s.InForce {
		got[p.Key] = p.Value + " by " + p.From
	}
	for key, want := range map[string]string{"limit": "4m by role admin", "warning": "2m by half of the limit", "action": "sign-out by class ward",
		"stages.close_clients_after": "never by stages.close_clients_after", "stages.sign_out_after": "never by stages.sign_out_after"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if o := call(t, 0, "agent", "policy", "show", "--policy", path, "--user", "nobody-of-this-name"); o.code != 1 || !strings.Contains(o.bad, "nobody-of-this-name") {
		t.Errorf("%+v", o)
	}
}

func TestPolicyDiffSaysWhatIsWeaker(t *testing.T) {
	t.Parallel()
	strict := writePolicy(t, t.TempDir(), "limit: 10m\nwarning: 1m\n", 0o600)
	weak := writePolicy(t, t.TempDir(), "limit: 20m\nwarning: 2m\nroles: [{name: a, groups: [g], action: close-clients}]\n", 0o600)
	var d struct {
		Changed []struct{ Key, Old, New any }
		Weaker  []policy.Relaxation
	}
	o := call(t, 0, "agent", "policy", "diff", "--json", strict, weak)
	if err := json.Unmarshal([]byte(o.out), &d); err != nil || o.code != 1 || len(d.Changed) != 3 || len(d.Weaker) != 2 ||
		d.Weaker[0] != (policy.Relaxation{Key: "limit", Old: "10m", New: "20m"}) || d.Weaker[1].Key != "roles.action" {
		t.Errorf("%v: %+v of %+v", err, d, o)
	}
	if o := call(t, 0, "agent", "policy", "diff", weak, strict); o.code != 0 || !strings.Contains(o.out, "nothing is weaker") {
		t.Errorf("%+v", o)
	}
	if o := call(t, 0, "agent", "policy", "diff", strict, strict); o.code != 0 || !strings.Contains(o.out, "no difference") {
		t.Errorf("%+v", o)
	}
	bad := writePolicy(t, t.TempDir(), "limit: never\nfoo: 1\n", 0o600)
	if o := call(t, 0, "agent", "policy", "diff", strict, bad); o.code != 1 || strings.Count(o.bad, "policy.yaml:") != 2 {
		t.Errorf("%+v", o)
	}
}
