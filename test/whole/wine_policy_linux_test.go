package whole

import (
	"encoding/json"
	"strings"
	"testing"

	"stepaway/test/wine"
)

const hklm = `HKLM\Software\Policies\Stepaway`

// windowsSettings is what policy show prints.
type windowsSettings struct {
	Settings []struct {
		Key, Source string
		Value       any
	}
}

// TestWindowsPolicyFromTheRegistry: what an administrator's tools write is what the agent says is in force.
func TestWindowsPolicyFromTheRegistry(t *testing.T) {
	t.Parallel()
	agent := wine.Build(t, "stepaway/cmd/agent")
	w := wine.New(t)
	add := func(key, name, kind, data string) {
		w.Must(t, "reg", "add", hklm+key, "/v", name, "/t", kind, "/d", data, "/f")
	}
	w.Must(t, "reg", "add", `HKCU\Software\Policies\Stepaway`, "/v", "limit", "/t", "REG_DWORD", "/d", "86400", "/f")
	wantSettings(t, w, agent, map[string]string{"limit": `"15m"`}, "built-in default")

	add("", "limit", "REG_DWORD", "600")
	add(`\lock`, "proof", "REG_SZ", "greeter")
	add(`\lock`, "fallback", "REG_MULTI_SZ", `C:\Windows\lock.exe\0-n`)
	add(`\roles\limit`, "clinical", "REG_SZ", "5m")
	add(`\roles\groups`, "clinical", "REG_SZ", `EXAMPLE\nurses|EXAMPLE\doctors`)
	add(`\clients\paths`, "Example EHR", "REG_SZ", `C:\Program Files\Example\ehr.exe`)
	add(`\collector`, "url", "REG_EXPAND_SZ", "https://collector.clinic.example:8443")
	wantSettings(t, w, agent, map[string]string{"limit": `"10m"`, "lock.proof": `"greeter"`, "lock.fallback": `["C:\\Windows\\lock.exe","-n"]`,
		"roles":         `[{"groups":["EXAMPLE\\nurses","EXAMPLE\\doctors"],"limit":"5m","name":"clinical"}]`,
		"clients":       `[{"at_deadline":"close","busy_most":"2m","clear_clipboard":false,"grace":"30s","name":"Example EHR","paths":["C:\\Program Files\\Example\\ehr.exe"]}]`,
		"collector.url": `"https://collector.clinic.example:8443"`}, hklm)
	wantSettings(t, w, agent, map[string]string{"warning": `"5m"`}, "built-in default")

	add(`\lock`, "terminate", "REG_SZ", "yes")
	r, err := w.Run(t.Context(), agent, "policy", "show")
	if want := hklm + `: lock\terminate: REG_SZ; write it as REG_DWORD, 0 or 1`; err != nil || r.Code != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("a wrong type: exit %d, %v\n%s\nwant %s", r.Code, err, r.Stderr, want)
	}
}

// wantSettings compares some settings in force and where they came from.
func wantSettings(t *testing.T, w *wine.Windows, agent string, want map[string]string, source string) {
	t.Helper()
	var s windowsSettings
	out := w.Must(t, agent, "policy", "show", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	for _, set := range s.Settings {
		value, _ := json.Marshal(set.Value)
		if w, asked := want[set.Key]; asked && (string(value) != w || set.Source != source) {
			t.Errorf("%s is %s from %s, want %s from %s", set.Key, value, set.Source, w, source)
		}
		delete(want, set.Key)
	}
	if len(want) > 0 {
		t.Errorf("not windowsSettings: %v", want)
	}
}
