// Package msi tests what the package for Windows does to a machine, from installation to removal, in Wine: with the real
// programs, the real services, and a real collector on Linux.
//
// Wine takes no notice of permissions of files, and of the settings of services that it does not know; that those are in
// the package is tested where it is made.
package msi

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stepaway/packaging"
	"stepaway/test/rig"
	"stepaway/test/wine"
)

const (
	older = "1.0.0"
	newer = "1.1.0"
	most  = 15 << 20 // bytes of a package
)

// dist says where the packages of this run are.
type dist struct{ top, older, newer string }

// made has make build two versions.
var made = sync.OnceValues(func() (d dist, err error) {
	if d.top, err = os.MkdirTemp("", "msi"); err != nil {
		return d, err
	}
	for version, into := range map[string]*string{older: &d.older, newer: &d.newer} {
		dir := filepath.Join(d.top, version)
		cmd := exec.Command("make", "--no-print-directory", "msi", "STATIC=agent courier", "VERSION="+version, "WINBIN="+dir, "DIST="+d.top)
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "STEPAWAY_CODE_CERT=", "STEPAWAY_CODE_KEY=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return d, fmt.Errorf("make msi: %w: %s", err, out)
		}
		*into = filepath.Join(d.top, "stepaway_"+version+"_x64.msi")
	}
	return d, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if d, _ := made(); d.top != "" {
		os.RemoveAll(d.top)
	}
	os.Exit(code)
}

func packages(t *testing.T) dist {
	t.Helper()
	d, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// machine is a Windows to install on.
type machine struct {
	*wine.Windows
	t *testing.T
}

// aMachine is one at which somebody works: Wine ends its services with the last program.
func aMachine(t *testing.T) machine {
	t.Helper()
	m := machine{wine.New(t), t}
	rig.Start(t, m.Command(t.Context(), "notepad"))
	return m
}

// Exit codes of Windows Installer, modulo 256, as Wine hands them on.
const (
	done   = 0
	failed = 1603 % 256
)

// msiexec runs Windows Installer without a window; package files are paths of Linux.
func (m machine) msiexec(want int, args ...string) {
	m.t.Helper()
	for i, a := range args {
		if strings.HasSuffix(a, ".msi") {
			args[i] = `Z:` + strings.ReplaceAll(a, "/", `\`)
		}
	}
	r, err := m.Run(m.t.Context(), "msiexec", append(args, "/qn")...)
	if err != nil || r.Code != want {
		m.t.Fatalf("msiexec %q: exit %d, want %d, %v\n%s%s", args, r.Code, want, err, r.Stdout, r.Stderr)
	}
}

// value of the registry below HKEY_LOCAL_MACHINE; "" where there is none.
func (m machine) value(key, name string) string {
	m.t.Helper()
	r, err := m.Run(m.t.Context(), "reg", "query", `HKLM\`+key, "/v", name)
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(r.Stdout) {
		if f := strings.SplitN(strings.TrimSpace(line), "    ", 3); len(f) == 3 && f[0] == name {
			return f[2]
		}
	}
	return ""
}

func (m machine) values(key string, want map[string]string) {
	m.t.Helper()
	for name, w := range want {
		if got := m.value(key, name); got != w {
			m.t.Errorf("%s\\%s is %q, want %q", key, name, got, w)
		}
	}
}

// runs waits until both services do.
func (m machine) runs() {
	m.t.Helper()
	for _, name := range []string{packaging.AgentService, packaging.CourierService} {
		rig.WaitFor(m.t, name+" to run", func() bool {
			r, err := m.Run(m.t.Context(), "sc", "query", name)
			return err == nil && strings.Contains(r.Stdout, "RUNNING")
		})
	}
}

// versions are those that Windows lists as installed.
func (m machine) versions() []string {
	m.t.Helper()
	r, err := m.Run(m.t.Context(), "reg", "query", `HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall`, "/s")
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	name := ""
	for line := range strings.Lines(r.Stdout) {
		f := strings.SplitN(strings.TrimSpace(line), "    ", 3)
		switch {
		case strings.HasPrefix(line, "HKEY"):
			name = ""
		case len(f) == 3 && f[0] == "DisplayName":
			name = f[2]
		case len(f) == 3 && f[0] == "DisplayVersion" && name == "Stepaway":
			out = append(out, f[2])
		}
	}
	return out
}

// code is a package's product code.
func (m machine) code(msi string) string {
	m.t.Helper()
	out, err := exec.Command(rig.Tool(m.t, "msiinfo"), "export", msi, "Property").Output()
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if name, v, _ := strings.Cut(strings.TrimSpace(line), "\t"); name == "ProductCode" {
			return v
		}
	}
	m.t.Fatal("no product code")
	return ""
}

// Where things are, from C:\, with slashes.
const (
	programs  = "Program Files/" + packaging.ProgramsName
	data      = "ProgramData/" + packaging.DataName
	templates = "windows/PolicyDefinitions"
)

// holds says that a file is what was built.
func (m machine) holds(path, built string) {
	m.t.Helper()
	got, err := os.ReadFile(m.C(path))
	if err != nil {
		m.t.Error(err)
		return
	}
	want, err := os.ReadFile(built)
	if err != nil || !bytes.Equal(got, want) {
		m.t.Errorf("%s is not %s: %v", path, built, err)
	}
}

// left are the files and directories below a path, from C:\.
func (m machine) left(path string) (out []string) {
	root := m.C("")
	_ = filepath.WalkDir(m.C(path), func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			p, _ = filepath.Rel(root, p)
			out = append(out, filepath.ToSlash(p))
		}
		return nil
	})
	return out
}
