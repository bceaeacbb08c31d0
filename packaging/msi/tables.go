package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"stepaway/packaging"
)

// table is one that wixl does not write, or not well enough. Types are those of an archive file of Windows Installer (.idt): s text, l text in the
// user's language, i number; a capital may be empty.
type table struct {
	name    string
	keys    int      // columns of the key
	columns []string // name:type, the key first
	rows    [][]string
}

// Configurations of a service, as MsiServiceConfig numbers them, and when they are done: at installation and repair.
const (
	delayedStart    = "3"
	nonCrash        = "4"
	sidType         = "5"
	sidUnrestricted = "1"
	sidRestricted   = "3"
	atInstallation  = "5"
)

func (p product) tables() []table {
	locks := table{"MsiLockPermissionsEx", 1, []string{"MsiLockPermissionsEx:s72", "LockObject:s72", "Table:s32", "SDDLText:s0", "Condition:S255"}, nil}
	config := table{"MsiServiceConfig", 1, []string{"MsiServiceConfig:s72", "Name:s255", "Event:i4", "ConfigType:i4", "Argument:S255", "Component_:s72"}, nil}
	for _, d := range packaging.Directories() {
		locks.add("Lock"+dataID(d.Path), dataID(d.Path), "CreateFolder", d.SDDL, "")
	}
	locks.add("LockEnrolment", valueID("EnrolmentKey", 0), "Registry", packaging.EnrolSDDL(), "")
	for _, f := range p.files() {
		if s := f.service; s != nil {
			locks.add("Lock"+s.id, s.id, "ServiceInstall", "O:SYG:SY"+packaging.ServiceSDDL, "")
			config.add(s.id+"Prompt", s.name, atInstallation, delayedStart, "0", f.id)
			config.add(s.id+"Errors", s.name, atInstallation, nonCrash, "1", f.id)
			config.add(s.id+"SID", s.name, atInstallation, sidType, s.sid, f.id)
		}
	}
	return []table{locks, config, p.upgrades(), registry()}
}

// upgrades are the versions that this one replaces, its own number among them, as otherwise both would be installed; and those
// that it finds and leaves alone. What is replaced is removed by the name of its only feature, which is the whole of it: an installer that
// does not set UPGRADINGPRODUCTCODE can so be told from a removal that is meant, which takes the identity.
func (p product) upgrades() table {
	const migrateFeatures, onlyDetect, maximumToo = 1, 2, 0x200
	t := table{"Upgrade", 5, []string{"UpgradeCode:s38", "VersionMin:S20", "VersionMax:S20", "Language:S255", "Attributes:i4", "Remove:S255", "ActionProperty:s72"}, nil}
	t.add(upgradeCode, "", p.number, "", strconv.Itoa(migrateFeatures|maximumToo), wholeFeature, "WIX_UPGRADE_DETECTED")
	t.add(upgradeCode, p.number, "", "", strconv.Itoa(onlyDetect), "", "WIX_DOWNGRADE_DETECTED")
	return t
}

func (t *table) add(row ...string) { t.rows = append(t.rows, row) }

// idt is the table as an archive file.
func (t table) idt() []byte {
	var names, types []string
	for _, c := range t.columns {
		name, kind, _ := strings.Cut(c, ":")
		names, types = append(names, name), append(types, kind)
	}
	lines := [][]string{names, types, append([]string{t.name}, names[:t.keys]...)}
	var b strings.Builder
	for _, l := range append(lines, t.rows...) {
		b.WriteString(strings.Join(l, "\t") + "\r\n")
	}
	return []byte(b.String())
}

// Kinds of custom actions.
const (
	setProperty = 51
	// runInstalled runs an installed program as the system, in its turn, and goes on whatever comes of it.
	runInstalled = 18 + 64 + 1024 + 2048
)

// changes are to the tables that wixl writes.
func (p product) changes() []string {
	secure := []string{"WIX_DOWNGRADE_DETECTED", "WIX_UPGRADE_DETECTED", tokenProperty}
	// A repair, which any user may ask for, changes none of them. What is remembered is looked for by the system and never taken from a user.
	out := []string{
		insert("CustomAction", "Action", "ForgetToken", "Type", setProperty, "Source", tokenProperty, "Target", "{}"),
		step("ForgetToken", "Installed", 60),
		"DELETE FROM `InstallUISequence` WHERE `Action` = 'AppSearch'",
		"DELETE FROM `InstallUISequence` WHERE `Action` = 'LaunchConditions'",
	}
	for i, s := range settings {
		secure = append(secure, s.property)
		action := "Remember" + s.value
		out = append(out, insert("CustomAction", "Action", action, "Type", setProperty, "Source", s.property, "Target", "["+s.remembered()+"]"),
			step(action, fmt.Sprintf("Installed OR NOT %s AND %s", s.property, s.remembered()), 61+i))
	}
	out = append(out,
		insert("CustomAction", "Action", "RemoveRecords", "Type", runInstalled, "Source", "CourierProgram", "Target", packaging.LeaveVerb),
		insert("CustomAction", "Action", "EndPrograms", "Type", runInstalled, "Source", "AgentProgram", "Target", packaging.EndVerb),
		step("EndPrograms", "REMOVE", 3480),                                      // nobody starts them again: the services are gone
		step("RemoveRecords", `REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE`, 3490), // the services are gone, the programs are still there
		step("MsiConfigureServices", "VersionNT", 5850),
		at("RemoveExistingProducts", 1501), // what goes wrong later brings the old version back
		at("WriteRegistryValues", 5820),    // once the services are there, before they start
		insert("Property", "Property", "MsiHiddenProperties", "Value", tokenProperty),
		"UPDATE `Property` SET `Value` = '"+strings.Join(secure, ";")+"' WHERE `Property` = 'SecureCustomProperties'",
		"UPDATE `Component` SET `Condition` = '"+tokenProperty+"' WHERE `Component` = 'EnrolmentToken'",
		insert("LaunchCondition", "Condition", "Installed OR WINDOWS_MAJOR", "Description", "Stepaway needs Windows 10 or newer."),
		"UPDATE `ServiceInstall` SET `ErrorControl` = 32769 WHERE `ServiceType` = 16") // without its services nothing is installed
	return append(out, p.shortNames()...)
}

// shortNames gives names of 8 and 3 letters to what has longer ones, as the tables ask for.
func (p product) shortNames() []string {
	var out []string
	for _, f := range p.files() {
		out = append(out, "UPDATE `File` SET `FileName` = '"+bothNames(f.name)+"' WHERE `File` = '"+f.id+"'")
	}
	for _, d := range packaging.Directories() {
		if _, name, _ := cutLast(d.Path); d.Path != "" && len(name) > 8 && !strings.Contains(name, ".") {
			out = append(out, "UPDATE `Directory` SET `DefaultDir` = '"+bothNames(name)+"' WHERE `Directory` = '"+dataID(d.Path)+"'")
		}
	}
	return out
}

// bothNames is a name with a short one before it. Those of one directory differ in the letter after the first dash, or are alone.
func bothNames(name string) string {
	ext := path.Ext(name)
	base := strings.TrimSuffix(name, ext)
	short := strings.ToUpper(base)
	if _, after, found := strings.Cut(base, "-"); found {
		short = strings.ToUpper(base[:2] + after[:min(len(after), 4)])
	}
	if len(short) > 8 {
		short = short[:6]
	}
	if len(ext) > 4 {
		ext = ext[:4]
	}
	return short[:min(len(short), 6)] + "~1" + strings.ToUpper(ext) + "|" + name
}

func insert(table string, fields ...any) string {
	var names, values []string
	for i := 0; i+1 < len(fields); i += 2 {
		names = append(names, fmt.Sprintf("`%s`", fields[i]))
		if n, ok := fields[i+1].(int); ok {
			values = append(values, fmt.Sprint(n))
		} else {
			values = append(values, fmt.Sprintf("'%s'", fields[i+1]))
		}
	}
	return fmt.Sprintf("INSERT INTO `%s` (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(values, ", "))
}

// step adds an action to the installation.
func step(action, condition string, sequence int) string {
	return insert("InstallExecuteSequence", "Action", action, "Condition", condition, "Sequence", sequence)
}

// at moves an action.
func at(action string, sequence int) string {
	return fmt.Sprintf("UPDATE `InstallExecuteSequence` SET `Sequence` = %d WHERE `Action` = '%s'", sequence, action)
}

// finish has msibuild make the tables and changes.
func (p product) finish(stage string) error {
	for _, t := range p.tables() {
		if err := runIn(stage, t.idt(), "msibuild", packageName, "-i", t.name+".idt"); err != nil {
			return err
		}
	}
	for _, q := range p.changes() {
		if err := runIn(stage, nil, "msibuild", packageName, "-q", q); err != nil {
			return err
		}
	}
	return runIn(stage, nil, "msibuild", packageName, "-s", "Installation Database", manufacturer, "x64;1033", identity("package", p.version, p.content))
}
