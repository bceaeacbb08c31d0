package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// built are the programs that need no C, made once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"agent", "courier", "collector"} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "stepaway-"+name), "stepaway/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, &os.PathError{Op: string(out), Path: name, Err: err}
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func programs(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// verbs are the commands by the sources, told apart from what the help says.
var verbs = map[string][]string{
	"stepaway-agent": {"run", "status", "policy show", "policy check", "policy diff", "policy schema", "policy sign", "policy approve",
		"state show", "state approve", "install", "uninstall", "version"},
	"stepaway-courier":   {"run", "enroll", "audit verify", "audit export", "status", "version"},
	"stepaway-collector": {"init", "serve", "token", "devices", "events", "verify", "report", "retain", "backup", "restore", "version"},
}

// Every command has a place in the manual and is completed, with its flags.
func TestManualAndCompletionHaveEveryCommand(t *testing.T) {
	for name, want := range verbs {
		c, err := learn(filepath.Join(programs(t), name), name)
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile("../../cmd/" + strings.TrimPrefix(name, "stepaway-") + "/main.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\{Name: "([a-z]+)", Line`).FindAllStringSubmatch(string(source), -1) {
			if !slices.ContainsFunc(c.Commands, func(c command) bool { return c.last() == m[1] }) {
				t.Errorf("%s %s is in the source and not in the help", name, m[1])
			}
		}
		text := manual(c, pages[name], "1", time.Unix(0, 0))
		for _, verb := range want {
			if !strings.Contains(text, "\n.SS "+dashes(verb)+"\n") {
				t.Errorf("the manual of %s lacks %q", name, verb)
			}
		}
		for _, leaf := range c.leaves() {
			for _, o := range leaf.Options {
				if o.About == "" || !strings.Contains(text, `\-\-`+dashes(o.Name)) {
					t.Errorf("%s --%s is not explained", leaf.name(), o.Name)
				}
			}
		}
		checkBash(t, c)
		checkZsh(t, c)
	}
}

// complete has bash complete a line and returns what it offers.
func completed(t *testing.T, script, function string, words ...string) []string {
	t.Helper()
	line := script + "\nCOMP_WORDS=(" + strings.Join(words, " ") + " '')\nCOMP_CWORD=" + string(rune('0'+len(words))) + "\n" + function + "\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
	out, err := exec.Command("bash", "-euc", line).CombinedOutput()
	if err != nil {
		t.Fatalf("completion: %v\n%s", err, out)
	}
	return strings.Fields(string(out))
}

func checkBash(t *testing.T, c command) {
	t.Helper()
	script, function := bash(c), "_"+strings.ReplaceAll(c.last(), "-", "_")
	script = strings.ReplaceAll(script, "\ncomplete ", "\n: ")
	for _, leaf := range c.leaves() {
		for i := range leaf.Path[1:] {
			if got := completed(t, script, function, leaf.Path[:i+1]...); !slices.Contains(got, leaf.Path[i+1]) {
				t.Errorf("after %v bash offers %v", leaf.Path[:i+1], got)
			}
		}
		got := completed(t, script, function, leaf.Path...)
		for _, o := range leaf.Options {
			if !slices.Contains(got, "--"+o.Name) {
				t.Errorf("after %v bash offers %v", leaf.Path, got)
			}
		}
	}
}

// zsh is asked with compadd and _files in place of its own, which need a terminal.
func checkZsh(t *testing.T, c command) {
	t.Helper()
	program, err := exec.LookPath("zsh")
	if err != nil {
		t.Fatal("zsh is not installed: run `make deps`")
	}
	for _, leaf := range c.leaves() {
		line := "compadd() { shift; print -l -- $@ }\n_files() { }\nwords=(" + leaf.name() + " '')\nCURRENT=$#words\nask() {\n" + zsh(c) + "}\nask\n"
		out, err := exec.Command(program, "-fc", line).CombinedOutput()
		got := strings.Fields(string(out))
		for _, o := range leaf.Options {
			if err != nil || !slices.Contains(got, "--"+o.Name) {
				t.Fatalf("after %v zsh offers %s, %v", leaf.Path, out, err)
			}
		}
	}
}

func TestVersionsSortAsTheyFollow(t *testing.T) {
	last := ""
	for _, v := range []string{"1.2.0-dev", "1.2.0-rc1", "1.2.0", "1.2.0-3-g0123abc", "1.2.0-12-gabc0123", "1.2.1-dev", "1.10.0"} {
		v = debVersion(v)
		if last != "" && exec.Command("dpkg", "--compare-versions", last, "lt", v).Run() != nil {
			t.Errorf("%s is not before %s", last, v)
		}
		last = v
	}
}

// What is told of a package's content is what the go command tells of its programs.
func TestListHasEveryModule(t *testing.T) {
	p := debs("1.0")[1]
	text, err := inside(p, programs(t), time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(programs(t), "stepaway-collector")
	out, err := exec.Command("go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "dep" {
			continue
		}
		modules++
		i := slices.IndexFunc(b.Components, func(c component) bool { return c.Name == f[1] && c.Version == f[2] })
		if i < 0 || !slices.Contains(b.Components[i].Properties, property{"go:sum", f[3]}) {
			t.Errorf("%s %s is not listed", f[1], f[2])
		}
	}
	sum, err := exec.Command("sha256sum", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(b.Components, func(c component) bool { return c.Name == "stepaway-collector" })
	if i < 0 || b.Components[i].Hashes[0].Content != strings.Fields(string(sum))[0] {
		t.Error("the program's hash is another")
	}
	refs := map[string]bool{b.Metadata.Component.Ref: true}
	for _, c := range b.Components {
		refs[c.Ref] = true
	}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.On, d.Ref) {
			if !refs[ref] {
				t.Errorf("%s is depended on and not listed", ref)
			}
		}
	}
	if modules < 5 || len(b.Dependencies) != 2 || b.Metadata.Timestamp != "2023-11-14T22:13:20Z" {
		t.Errorf("%d modules, %d dependencies, at %s", modules, len(b.Dependencies), b.Metadata.Timestamp)
	}
}

// As docs/install.md says how a download is checked.
func TestSumsAreSignedAndChecked(t *testing.T) {
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "key")
	run := func(stdin, name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		_, err := cmd.CombinedOutput()
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key))
	public, err := os.ReadFile(key + ".pub")
	must(err)
	must(os.WriteFile(filepath.Join(dir, "release_signers"), append([]byte("release@stepaway "), public...), 0o644))
	must(os.WriteFile(filepath.Join(dir, "a.deb"), []byte("a"), 0o644))
	must(writeSums(dir, []string{"a.deb"}))
	must(sign(dir, key))
	text, err := os.ReadFile(filepath.Join(dir, sums))
	must(err)
	verify := func(text string) error {
		return run(text, "ssh-keygen", "-Y", "verify", "-f", "release_signers", "-I", "release@stepaway", "-n", namespace, "-s", sums+".sig")
	}
	if err := verify(string(text)); err != nil {
		t.Error("the signature is not taken:", err)
	}
	if err := run("", "sha256sum", "-c", "--strict", sums); err != nil {
		t.Error("the sums are not taken:", err)
	}
	if verify(strings.Replace(string(text), "a.deb", "b.deb", 1)) == nil {
		t.Error("other sums are taken")
	}
	must(os.WriteFile(filepath.Join(dir, "a.deb"), []byte("b"), 0o644))
	if run("", "sha256sum", "-c", "--strict", sums) == nil {
		t.Error("another package is taken")
	}
	must(sign(dir, ""))
	if _, err := os.Stat(filepath.Join(dir, sums+".sig")); err == nil {
		t.Error("without a key the signature of before stays")
	}
	if sign(dir, filepath.Join(dir, "none")) == nil {
		t.Error("a key that is not there signs")
	}
}

func TestNoLineOfAManualIsAnInstruction(t *testing.T) {
	got := roff("a\n.so /etc/passwd\n'x\nback\\slash")
	if got != "a\n\\&.so /etc/passwd\n\\&'x\nback\\eslash" {
		t.Errorf("%q", got)
	}
	if _, err := parseHelp("nothing"); err == nil {
		t.Error("what is no help is taken")
	}
}
