package main

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"stepaway/packaging"
)

var finished sync.Map // the path of the package that tests only read, by nothing

// aPackage is one that is only read.
func aPackage(t *testing.T) string {
	t.Helper()
	if path, ok := finished.Load(""); ok {
		return path.(string)
	}
	b := aBuild(t)
	b.out = b.programs
	path := b.must(t)
	finished.Store("", path)
	return path
}

func TestServicesAreAsTheDesignSays(t *testing.T) {
	msi := aPackage(t)
	values := by(t, read(t, msi, "Registry"), "Registry")
	services := by(t, read(t, msi, "ServiceInstall"), "Name")
	if len(services) != 2 {
		t.Fatalf("%d services", len(services))
	}
	for name, want := range map[string]struct{ account, program, sid string }{
		packaging.AgentService:   {"LocalSystem", "AgentProgram", "1"},
		packaging.CourierService: {packaging.CourierUser, "CourierProgram", "3"},
	} {
		s := services[name]
		if s["StartName"] != want.account || s["Password"] != "" || s["Arguments"] != packaging.ServiceVerb || s["Component_"] != want.program {
			t.Errorf("%s: %v", name, s)
		}
		if s["ServiceType"] != "16" || s["StartType"] != "2" || s["ErrorControl"] != "32769" || s["Dependencies"] != "" {
			t.Errorf("%s is not a vital automatic process of its own that waits for nothing: %v", name, s)
		}
		path := values[name+"Values_0"]
		if path["Key"] != `SYSTEM\CurrentControlSet\Services\`+name || path["Name"] != "ImagePath" ||
			path["Value"] != `#%"[#`+want.program+`]" `+packaging.ServiceVerb {
			t.Errorf("%s: the path is not in quotes: %v", name, path)
		}
		failures := values[name+"Values_1"]
		raw, err := hex.DecodeString(strings.TrimPrefix(failures["Value"], "#x"))
		if err != nil || failures["Name"] != "FailureActions" || len(raw) < 28 {
			t.Fatalf("%s: %v, %v", name, failures, err)
		}
		last := raw[len(raw)-8:]
		if binary.LittleEndian.Uint32(raw[12:]) != uint32(len(raw)-20)/8 || binary.LittleEndian.Uint32(last) != 1 || binary.LittleEndian.Uint32(last[4:]) > 2000 {
			t.Errorf("%s: the last failure is not answered by a start within 2 s: %x", name, raw)
		}
		for kind, argument := range map[string]string{delayedStart: "0", nonCrash: "1", sidType: want.sid} {
			found := slices.ContainsFunc(read(t, msi, "MsiServiceConfig"), func(r row) bool {
				return r["Name"] == name && r["ConfigType"] == kind && r["Argument"] == argument && r["Event"] == "5" && r["Component_"] == want.program
			})
			if !found {
				t.Errorf("%s: configuration %s is not %s", name, kind, argument)
			}
		}
	}
	for _, r := range read(t, msi, "ServiceControl") {
		if r["Event"] != "161" || r["Wait"] != "1" { // started; when removed stopped and deleted; a repair stops nothing
			t.Errorf("%v", r)
		}
	}
	// The one that tells of its end is stopped before the one that hears of it.
	if order := read(t, msi, "ServiceControl"); order[0]["Name"] != packaging.AgentService {
		t.Errorf("%v is first", order[0])
	}
}

var ace = regexp.MustCompile(`^A;[A-Z]*;(0x[0-9a-f]+|[A-Z]+);;;([A-Z]{2}|S-1-5-80(-[0-9]+){5})$`)

func TestPermissionsAreAsTheDesignSays(t *testing.T) {
	msi := aPackage(t)
	locks := by(t, read(t, msi, "MsiLockPermissionsEx"), "LockObject")
	want := map[string]row{}
	for _, d := range packaging.Directories() {
		want[dataID(d.Path)] = row{"Table": "CreateFolder", "SDDLText": d.SDDL}
	}
	for _, s := range read(t, msi, "ServiceInstall") {
		want[s["ServiceInstall"]] = row{"Table": "ServiceInstall", "SDDLText": "O:SYG:SY" + packaging.ServiceSDDL}
	}
	want["EnrolmentKey_0"] = row{"Table": "Registry", "SDDLText": packaging.EnrolSDDL()}
	if got, want := slices.Sorted(maps.Keys(locks)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
		t.Errorf("locked are %q, want %q", got, want)
	}
	for object, w := range want {
		got := locks[object]
		if got["Table"] != w["Table"] || got["SDDLText"] != w["SDDLText"] || got["Condition"] != "" {
			t.Errorf("%s: %v, want %v", object, got, w)
		}
		for _, part := range strings.Split(got["SDDLText"], "(")[1:] {
			if !ace.MatchString(strings.TrimSuffix(part, ")")) {
				t.Errorf("%s: %q is no entry", object, part)
			}
		}
	}
	made := by(t, read(t, msi, "CreateFolder"), "Directory_")
	for _, d := range packaging.Directories() {
		if made[dataID(d.Path)] == nil {
			t.Errorf("%s is not made", d.Path)
		}
	}
	if strings.Contains(tool(t, "msiinfo", "tables", msi), "\nLockPermissions\n") {
		t.Error("the older table of permissions keeps the newer from being used")
	}
}

func TestOrderOfSteps(t *testing.T) {
	msi := aPackage(t)
	steps := by(t, read(t, msi, "InstallExecuteSequence"), "Action")
	at := func(action string) int {
		n, err := strconv.Atoi(steps[action]["Sequence"])
		if err != nil {
			t.Fatalf("%s is not done", action)
		}
		return n
	}
	for _, order := range [][]string{
		{"FindRelatedProducts", "AppSearch", "ForgetToken", "RememberCollectorURL", "RememberSite", "RememberUnit", "LaunchConditions", "CostInitialize", "CostFinalize", "InstallValidate"},
		{"InstallValidate", "InstallInitialize", "RemoveExistingProducts", "ProcessComponents", "StopServices", "DeleteServices", "EndPrograms", "RemoveRecords", "RemoveFiles", "RemoveFolders",
			"CreateFolders", "InstallFiles", "InstallServices", "WriteRegistryValues", "MsiConfigureServices", "StartServices", "InstallFinalize"},
	} {
		for i := 1; i < len(order); i++ {
			if at(order[i-1]) >= at(order[i]) {
				t.Errorf("%s is not before %s", order[i-1], order[i])
			}
		}
	}
	if at("RemoveExistingProducts") != at("InstallInitialize")+1 {
		t.Error("an upgrade that fails would not bring the old version back")
	}
	if c := steps["RemoveRecords"]["Condition"]; c != `REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE` {
		t.Errorf("records are removed where %s", c)
	}
	for _, a := range read(t, msi, "CustomAction") {
		switch a["Action"] {
		case "RemoveRecords":
			if a["Type"] != "3154" || a["Source"] != "CourierProgram" || a["Target"] != packaging.LeaveVerb {
				t.Errorf("%v", a)
			}
		case "EndPrograms":
			if a["Type"] != "3154" || a["Source"] != "AgentProgram" || a["Target"] != packaging.EndVerb || steps["EndPrograms"]["Condition"] != "REMOVE" {
				t.Errorf("%v", a)
			}
		default:
			if a["Type"] != "51" {
				t.Errorf("%v is more than a property", a)
			}
		}
	}
}

func TestPropertiesAreKept(t *testing.T) {
	msi := aPackage(t)
	properties := by(t, read(t, msi, "Property"), "Property")
	secure := strings.Split(properties["SecureCustomProperties"]["Value"], ";")
	searches, searched := by(t, read(t, msi, "RegLocator"), "Signature_"), by(t, read(t, msi, "AppSearch"), "Property")
	actions := by(t, read(t, msi, "CustomAction"), "Action")
	steps := by(t, read(t, msi, "InstallExecuteSequence"), "Action")
	for _, s := range settings {
		if !slices.Contains(secure, s.property) {
			t.Errorf("%s does not reach the service of Windows Installer", s.property)
		}
		if slices.Contains(secure, s.remembered()) {
			t.Errorf("a user can say what %s was before", s.property)
		}
		l := searches[searched[s.remembered()]["Signature_"]]
		if l["Root"] != "2" || l["Key"] != packaging.SetupKey || l["Name"] != s.value || l["Type"] != "18" {
			t.Errorf("%s is looked for at %v", s.property, l)
		}
		a := actions["Remember"+s.value]
		if a["Source"] != s.property || a["Target"] != "["+s.remembered()+"]" || steps["Remember"+s.value]["Condition"] != "Installed OR NOT "+s.property+" AND "+s.remembered() {
			t.Errorf("%s: %v", s.property, a)
		}
	}
	for _, a := range read(t, msi, "InstallUISequence") {
		if a["Action"] == "AppSearch" {
			t.Error("what was before is looked for by the user's part of Windows Installer")
		}
	}
	if a := actions["ForgetToken"]; a["Type"] != "51" || a["Source"] != tokenProperty || a["Target"] != "{}" || steps["ForgetToken"]["Condition"] != "Installed" {
		t.Errorf("a repair takes a token: %v", a)
	}
	if properties["MsiHiddenProperties"]["Value"] != tokenProperty || !slices.Contains(secure, tokenProperty) {
		t.Error("the token is not hidden")
	}
	token := by(t, read(t, msi, "Component"), "Component")["EnrolmentToken"]
	if token["Condition"] != tokenProperty {
		t.Errorf("a token is written where %q", token["Condition"])
	}
}

func TestUpgradesAndDowngrades(t *testing.T) {
	msi := aPackage(t)
	rows := by(t, read(t, msi, "Upgrade"), "ActionProperty")
	if up := rows["WIX_UPGRADE_DETECTED"]; up["UpgradeCode"] != upgradeCode || up["VersionMin"] != "" || up["VersionMax"] != "1.2.3" || up["Attributes"] != "513" || up["Remove"] != wholeFeature {
		t.Errorf("%v", up)
	}
	if down := rows["WIX_DOWNGRADE_DETECTED"]; down["UpgradeCode"] != upgradeCode || down["VersionMin"] != "1.2.3" || down["VersionMax"] != "" || down["Attributes"] != "2" {
		t.Errorf("%v", down)
	}
	conditions := by(t, read(t, msi, "LaunchCondition"), "Condition")
	for _, c := range []string{"NOT WIX_DOWNGRADE_DETECTED", "Installed OR WINDOWS_MAJOR"} {
		if conditions[c]["Description"] == "" {
			t.Errorf("%s is not asked for: %v", c, conditions)
		}
	}
	if f := read(t, msi, "Feature"); len(f) != 1 || f[0]["Feature"] != wholeFeature {
		t.Errorf("features %v", f)
	}
}

var lowerCase = regexp.MustCompile(`[a-z]`)

// Nobody may say on the command line where the programs of the system's are, and nothing is 32-bit.
func TestPlaces(t *testing.T) {
	msi := aPackage(t)
	directories := by(t, read(t, msi, "Directory"), "Directory")
	for id := range directories {
		if id != "TARGETDIR" && !lowerCase.MatchString(id) {
			t.Errorf("%s can be chosen", id)
		}
	}
	if p := directories[programsDir]; p["Directory_Parent"] != "ProgramFiles64Folder" || p["DefaultDir"] != packaging.ProgramsName {
		t.Errorf("%v", p)
	}
	if p := directories[templatesDir]; p["Directory_Parent"] != "WindowsFolder" || p["DefaultDir"] != "PolicyDefinitions" {
		t.Errorf("%v", p)
	}
	guids := map[string]bool{}
	for _, c := range read(t, msi, "Component") {
		bits, err := strconv.Atoi(c["Attributes"])
		if err != nil || bits&256 == 0 || guids[c["ComponentId"]] || c["ComponentId"] == "" {
			t.Errorf("%v", c)
		}
		guids[c["ComponentId"]] = true
	}
	names := map[string]bool{}
	places := by(t, read(t, msi, "Component"), "Component")
	for _, f := range read(t, msi, "File") {
		short, long, both := strings.Cut(f["FileName"], "|")
		base, ext, _ := strings.Cut(short, ".")
		place := places[f["Component_"]]["Directory_"] + "/" + short
		if !both || len(base) > 8 || len(ext) > 3 || long == "" || names[place] {
			t.Errorf("%s is called %s", f["File"], f["FileName"])
		}
		names[place] = true
	}
	values := by(t, read(t, msi, "Registry"), "Registry")
	if v := values["TrayAtLogon_0"]; v["Root"] != "2" || v["Key"] != logonKey || v["Value"] != `"[#TrayProgram]"` {
		t.Errorf("%v", v)
	}
	if v := values["EventSource_0"]; v["Key"] != eventLogKey || v["Value"] != `#%%SystemRoot%\System32\EventCreate.exe` {
		t.Errorf("%v", v)
	}
	summary := tool(t, "msiinfo", "suminfo", msi)
	for _, want := range []string{"Template: x64;1033\n", "Created: Tue Nov 14 22:13:20 2023\n", "Last saved: Tue Nov 14 22:13:20 2023\n", "Version: 500 "} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary lacks %q: %s", want, summary)
		}
	}
}
