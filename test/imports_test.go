// Package test holds the tests of the whole project: its layout and, in whole/, its programs together.
package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Name       string
}

// list asks the go command about packages as they are built for a system, without cgo.
func list(t *testing.T, goos string, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Imports,Deps,Name"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

// layer of each package: a package imports only from lower layers, but for what allowed lists.
var layers = map[string]int{
	// pure: no clock, no goroutine, nothing of the operating system
	"audit": 0, "sink/encode": 0, "session": 0, "deadline": 0, "policy": 0, "policy/approval": 0, "words": 0, "still": 0,
	// shared by edges: the wire of X11, processes, pictures, the service manager
	"x11": 1, "wayland": 1, "proc": 1, "trusted": 1, "asuser": 1, "picture": 1, "sdnotify": 1, "clock": 1, "cmdline": 1, "packaging": 1, "link": 1, "uplink": 1, "netcode": 1, "durable": 1, "quiet": 1, "journal": 1, "scm": 1, "group": 1, "probe": 1, "policy/render": 1,
	// edges and loops
	"idle": 2, "lock": 2, "notify": 2, "tray": 2, "spool": 2, "session/logind": 2, "session/wts": 2, "policy/file": 2, "policy/registry": 2, "installer": 2, "inventory": 2, "doctor": 2, "metrics": 2,
	"enforce": 2, "courier": 2, "collector": 2, "sink": 2, "policy/render/write": 2, "packaging/release": 2, "packaging/msi": 2,
	"cmd/agent": 3, "cmd/courier": 3, "cmd/tray": 3, "cmd/collector": 3,
}

// allowed are imports within one layer, each for a reason.
var allowed = map[string]string{
	"x11 -> quiet":             "a connection may be read so that it wakes nobody",
	"link -> durable":          "how a file is replaced is said once",
	"probe -> clock":           "what it sees is placed in time where it is seen",
	"sink/encode -> audit":     "the events it encodes",
	"policy -> audit":          "what a name may hold is said once",
	"policy/approval -> audit": "what a name may hold is said once",
}

func TestImportsPointOneWay(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		for _, p := range list(t, goos, "stepaway/...") {
			name := strings.TrimPrefix(p.ImportPath, "stepaway/")
			if strings.HasPrefix(name, "test") {
				continue
			}
			layer, known := layers[name]
			if !known {
				t.Errorf("%s has no layer: say where it stands", name)
				continue
			}
			for _, imp := range p.Imports {
				to, own := strings.CutPrefix(imp, "stepaway/")
				_, excused := allowed[name+" -> "+to]
				if own && layers[to] >= layer && !excused {
					t.Errorf("%s imports %s: not from a lower layer", name, to)
				}
			}
		}
	}
}

func TestPurePackagesTouchNothing(t *testing.T) {
	for _, p := range list(t, "linux", "stepaway/...") {
		name := strings.TrimPrefix(p.ImportPath, "stepaway/")
		if layer, known := layers[name]; !known || layer != 0 {
			continue
		}
		for _, forbidden := range []string{"os", "os/exec", "net", "net/http", "syscall", "golang.org/x/sys/unix", "runtime", "sync"} {
			if slices.Contains(p.Imports, forbidden) {
				t.Errorf("%s is pure and imports %s", name, forbidden)
			}
		}
	}
}

// TestTheAgentHasNoParserForTheNetwork: the program that locks links no store, no HTTP and no TLS, and no C.
func TestTheAgentHasNoParserForTheNetwork(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		for _, p := range list(t, goos, "stepaway/cmd/agent") {
			for _, forbidden := range []string{"go.etcd.io/bbolt", "net/http", "crypto/tls", "runtime/cgo", "stepaway/spool", "stepaway/courier"} {
				if slices.Contains(p.Deps, forbidden) {
					t.Errorf("%s: stepaway-agent links %s", goos, forbidden)
				}
			}
		}
	}
}

// TestOnlyTheCourierOpensTheSpool and only the collector its store.
func TestOnlyTheCourierOpensTheSpool(t *testing.T) {
	for _, p := range list(t, "linux", "stepaway/cmd/...") {
		if slices.Contains(p.Deps, "go.etcd.io/bbolt") && p.ImportPath != "stepaway/cmd/courier" {
			t.Errorf("%s links bbolt", p.ImportPath)
		}
		if slices.Contains(p.Deps, "modernc.org/sqlite") && p.ImportPath != "stepaway/cmd/collector" {
			t.Errorf("%s links SQLite", p.ImportPath)
		}
		if slices.Contains(p.Deps, "github.com/jackc/pgx/v5") && p.ImportPath != "stepaway/cmd/collector" {
			t.Errorf("%s links pgx", p.ImportPath)
		}
	}
}
