package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"stepaway/packaging"
)

// key is a component that writes values below HKEY_LOCAL_MACHINE.
type key struct {
	id     string
	values []value
}

// value is data in the words of the Registry table: # before a number, #x before bytes, #% before text with variables.
type value struct{ key, name, data string }

const (
	eventLogKey = `SYSTEM\CurrentControlSet\Services\EventLog\Application\` + packaging.EventSource
	logonKey    = `Software\Microsoft\Windows\CurrentVersion\Run`
	serviceKey  = `SYSTEM\CurrentControlSet\Services\`
)

func keys() []key {
	var setup []value
	for _, s := range settings {
		setup = append(setup, value{packaging.SetupKey, s.value, "[" + s.property + "]"})
	}
	return []key{
		{"SetupValues", setup},
		{"EnrolmentKey", []value{{packaging.EnrolKey, "Made", "#1"}}},
		{"EnrolmentToken", []value{{packaging.EnrolKey, packaging.EnrolToken, "[" + tokenProperty + "]"}}},
		{"EventSource", []value{
			{eventLogKey, "EventMessageFile", `#%%SystemRoot%\System32\EventCreate.exe`},
			{eventLogKey, "TypesSupported", "#7"},
		}},
		{"TrayAtLogon", []value{{logonKey, "Stepaway", `"[#TrayProgram]"`}}},
		ofService("AgentProgram", packaging.AgentService),
		ofService("CourierProgram", packaging.CourierService),
	}
}

// ofService is written once the service is there: its path in quotes, which not every Windows Installer sees to, and what is done when it ends.
// The table MsiServiceConfigFailureActions cannot say this: restarting needs a right that Windows Installer does not ask for when it opens the
// service, and then nothing is installed (error 1939).
func ofService(program, name string) key {
	return key{name + "Values", []value{
		{serviceKey + name, "ImagePath", `#%"[#` + program + `]" ` + packaging.ServiceVerb},
		{serviceKey + name, "FailureActions", "#x" + strings.ToUpper(hex.EncodeToString(packaging.FailureActions()))},
		{serviceKey + name, "FailureActionsOnNonCrashFailures", "#1"},
	}}
}

// component has the first value alone, which is its key path: wixl makes text of all but numbers, so that the table is written anew.
func (k key) component() element {
	v := k.values[0]
	return component(k.id, el("RegistryValue", attrs{"Id", valueID(k.id, 0), "Root", "HKLM", "Key", v.key, "Name", v.name, "Type", "string",
		"Value", v.data, "KeyPath", "yes"}))
}

func valueID(component string, i int) string { return fmt.Sprintf("%s_%d", component, i) }

// registry is the table of all values.
func registry() table {
	const localMachine = "2"
	t := table{"Registry", 1, []string{"Registry:s72", "Root:i2", "Key:l255", "Name:L255", "Value:L0", "Component_:s72"}, nil}
	for _, k := range keys() {
		for i, v := range k.values {
			t.add(valueID(k.id, i), localMachine, v.key, v.name, v.data, k.id)
		}
	}
	return t
}
