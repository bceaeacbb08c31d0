package msi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stepaway/packaging"
	"stepaway/test/rig"
)

const services = `System\CurrentControlSet\Services\`

func TestSize(t *testing.T) {
	d := packages(t)
	info, err := os.Stat(d.newer)
	if err != nil || info.Size() > most {
		t.Fatalf("%v bytes, want at most %d, %v", info.Size(), most, err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
}

// A life of one installation: installed with properties, upgraded without, not downgraded, repaired, removed.
func TestLife(t *testing.T) {
	t.Parallel()
	d, m := packages(t), aMachine(t)
	m.msiexec(done, "/i", d.older, "COLLECTOR_URL=https://collector.clinic.example:8443", "SITE=North", "UNIT=Ward-3")
	m.runs()
	told := map[string]string{packaging.SetupCollector: "https://collector.clinic.example:8443", packaging.SetupSite: "North", packaging.SetupUnit: "Ward-3"}
	m.values(packaging.SetupKey, told)
	m.installed(d.top + "/" + older)
	for service, account := range map[string]string{packaging.AgentService: "LocalSystem", packaging.CourierService: packaging.CourierUser} {
		program := map[string]string{packaging.AgentService: "stepaway-agent.exe", packaging.CourierService: "stepaway-courier.exe"}[service]
		m.values(services+service, map[string]string{"ImagePath": `"C:\Program Files\Stepaway\` + program + `" service`, "ObjectName": account,
			"Start": "0x2", "Type": "0x10", "FailureActionsOnNonCrashFailures": "0x1"})
	}
	m.values(`Software\Microsoft\Windows\CurrentVersion\Run`, map[string]string{"Stepaway": `"C:\Program Files\Stepaway\stepaway-tray.exe"`})
	m.values(services+`EventLog\Application\`+packaging.EventSource, map[string]string{"EventMessageFile": `%SystemRoot%\System32\EventCreate.exe`, "TypesSupported": "0x7"})
	if v := m.versions(); !slices.Equal(v, []string{older}) {
		t.Errorf("installed are %q", v)
	}

	for _, path := range []string{"policy.yaml", "courier/identity/kept.pem", "agent/kept.json"} {
		m.write(data+"/"+path, "limit: 10m\n")
	}
	m.trayed()
	m.msiexec(done, "/i", d.newer, "UNIT=Ward-4")
	m.runs()
	told[packaging.SetupUnit] = "Ward-4"
	m.values(packaging.SetupKey, told)
	m.installed(d.top + "/" + newer)
	for _, path := range []string{"policy.yaml", "courier/identity/kept.pem", "agent/kept.json"} {
		if text, err := os.ReadFile(m.C(data + "/" + path)); err != nil || string(text) != "limit: 10m\n" {
			t.Errorf("%s is lost in an upgrade: %q, %v", path, text, err)
		}
	}
	if v := m.versions(); !slices.Equal(v, []string{newer}) {
		t.Errorf("installed are %q", v)
	}

	m.msiexec(failed, "/i", d.older)
	m.installed(d.top + "/" + newer)
	m.runs()
	if v := m.versions(); !slices.Equal(v, []string{newer}) {
		t.Errorf("installed are %q", v)
	}

	// What msiexec /f does, which the one of Wine does not know. Any user may ask for it: the settings are not his to change.
	for _, path := range []string{programs + "/stepaway-tray.exe", templates + "/stepaway.admx"} {
		if err := os.Remove(m.C(path)); err != nil {
			t.Fatal(err)
		}
	}
	m.Must(t, "reg", "delete", `HKLM\Software\Microsoft\Windows\CurrentVersion\Run`, "/v", "Stepaway", "/f")
	m.msiexec(done, "/i", m.code(d.newer), "REINSTALL=ALL", "REINSTALLMODE=omus",
		"COLLECTOR_URL=https://impostor.example:8443", "SITE=South", "ENROLL_TOKEN=sa1.impostor")
	m.installed(d.top + "/" + newer)
	m.values(packaging.SetupKey, told)
	m.values(`Software\Microsoft\Windows\CurrentVersion\Run`, map[string]string{"Stepaway": `"C:\Program Files\Stepaway\stepaway-tray.exe"`})
	m.values(packaging.EnrolKey, map[string]string{packaging.EnrolToken: ""})
	m.runs()
	if text, err := os.ReadFile(m.C(data + "/courier/identity/kept.pem")); err != nil {
		t.Errorf("the identity is lost in a repair: %q, %v", text, err)
	}

	m.trayed()
	m.msiexec(done, "/x", m.code(d.newer))
	m.removed()
}

// trayed starts the tray, as at a logon, and waits until it runs: its file is in use then.
func (m machine) trayed() {
	m.t.Helper()
	rig.Start(m.t, m.Command(m.t.Context(), `C:\Program Files\Stepaway\stepaway-tray.exe`))
	rig.WaitFor(m.t, "the tray to run", func() bool {
		r, err := m.Run(m.t.Context(), "tasklist")
		return err == nil && strings.Contains(r.Stdout, "stepaway-tray.exe")
	})
}

// installed says that all files are there, as they were built into dir.
func (m machine) installed(dir string) {
	m.t.Helper()
	for _, name := range []string{"stepaway-agent.exe", "stepaway-courier.exe", "stepaway-tray.exe"} {
		m.holds(programs+"/"+name, filepath.Join(dir, name))
	}
	m.holds(templates+"/stepaway.admx", "../../packaging/policy/stepaway.admx")
	for _, language := range []string{"en-US", "es-ES"} {
		m.holds(templates+"/"+language+"/stepaway.adml", "../../packaging/policy/"+language+"/stepaway.adml")
	}
	for _, d := range packaging.Directories() {
		path := data + "/" + strings.ReplaceAll(d.Path, `\`, "/")
		if info, err := os.Stat(m.C(path)); err != nil || !info.IsDir() {
			m.t.Errorf("%s is no directory: %v", path, err)
		}
	}
}

// removed says that nothing is left but records.
func (m machine) removed() {
	m.t.Helper()
	if left := m.left(programs); left != nil {
		m.t.Errorf("left: %q", left)
	}
	for _, path := range m.left(templates) {
		if strings.Contains(path, "stepaway") {
			m.t.Errorf("left: %s", path)
		}
	}
	for _, path := range m.left(data) {
		if !strings.HasPrefix(path, data+"/courier/spool") && path != data && path != data+"/courier" && path != data+"/KEPT RECORDS.txt" {
			m.t.Errorf("left: %s", path)
		}
	}
	for _, key := range []string{packaging.SetupKey, services + packaging.AgentService, services + packaging.CourierService,
		services + `EventLog\Application\` + packaging.EventSource} {
		if r, err := m.Run(m.t.Context(), "reg", "query", `HKLM\`+key); err != nil || r.Code != 1 {
			m.t.Errorf("%s is left: %s, %v", key, r.Stdout, err)
		}
	}
	m.values(`Software\Microsoft\Windows\CurrentVersion\Run`, map[string]string{"Stepaway": ""})
	if v := m.versions(); v != nil {
		m.t.Errorf("still installed are %q", v)
	}
}

func (m machine) write(path, text string) {
	m.t.Helper()
	path = m.C(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// Records that no collector has outlive the programs, and a note says so.
func TestRemovalKeepsRecords(t *testing.T) {
	t.Parallel()
	d, m := packages(t), aMachine(t)
	m.msiexec(done, "/i", d.newer)
	m.runs()
	rig.WaitFor(t, "the first record", func() bool {
		r, err := m.Run(t.Context(), `C:\Program Files\Stepaway\stepaway-courier.exe`, "status")
		return err == nil && r.Code == 0 && !strings.Contains(r.Stdout, " 0 waiting")
	})
	m.msiexec(done, "/x", m.code(d.newer))
	m.removed()
	if _, err := os.Stat(m.C(data + "/courier/spool/spool.db")); err != nil {
		t.Error("the records are gone:", err)
	}
	if text, err := os.ReadFile(m.C(data + "/KEPT RECORDS.txt")); err != nil || !strings.Contains(string(text), `ProgramData\Stepaway\courier\spool`) {
		t.Errorf("the note says %q, %v", text, err)
	}
}
