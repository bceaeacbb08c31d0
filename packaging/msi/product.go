package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"stepaway/packaging"
)

const localSystem = "LocalSystem"

const (
	packageName  = "stepaway.msi" // while it is made
	manufacturer = "Stepaway maintainers"
	namespace    = "http://schemas.microsoft.com/wix/2006/wi"
)

// product is what is installed, of one version.
type product struct {
	version, number string // as the programs say it, and as Windows Installer compares it
	content         string // what tells it from another of the same version
}

// file is one that is installed, as a component of its own.
type file struct {
	id, name  string
	directory string // identifier of where it goes
	source    string // below the checkout; "": a program
	service   *service
}

// staged is where it is while the package is made. wixl takes relative paths only.
func (f file) staged() string { return f.directory + "/" + f.name }

// service is one of the two, as its program installs it.
type service struct {
	id, name, display, about, account string
	sid                               string // type of its own SID, as MsiServiceConfig takes it
}

// Identifiers of directories. None is all capitals: nobody may choose on the command line where programs of the system's are.
const (
	programsDir  = "ProgramsDir"
	templatesDir = "TemplatesDir"
	dataDir      = "DataDir"
)

func (p product) files() []file {
	agent := &service{"AgentService", packaging.AgentService, "Stepaway", "Secures this workstation when its user steps away.", localSystem, sidUnrestricted}
	courier := &service{"CourierService", packaging.CourierService, "Stepaway records", "Keeps the records of Stepaway and carries them to the collector.",
		packaging.CourierUser, sidRestricted}
	return []file{
		{"AgentProgram", programs[0], programsDir, "", agent},
		{"CourierProgram", programs[1], programsDir, "", courier},
		{"TrayProgram", programs[2], programsDir, "", nil},
		{"License", "LICENSE.txt", programsDir, "LICENSE", nil},
		{"PolicyTemplate", "stepaway.admx", templatesDir, "packaging/policy/stepaway.admx", nil},
		{"PolicyEnglish", "stepaway.adml", templatesDir + "English", "packaging/policy/en-US/stepaway.adml", nil},
		{"PolicySpanish", "stepaway.adml", templatesDir + "Spanish", "packaging/policy/es-ES/stepaway.adml", nil},
	}
}

// element is an element of the document.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

// el makes an element; attrs are names and values in turn.
func el(name string, attrs []string, children ...element) element {
	e := element{XMLName: xml.Name{Local: name}, Children: children}
	for i := 0; i+1 < len(attrs); i += 2 {
		e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: attrs[i]}, Value: attrs[i+1]})
	}
	return e
}

type attrs = []string

// document is the product in the words of wixl: files, directories, services, registry, properties.
func (p product) document() ([]byte, error) {
	root := el("Product", attrs{"Id", identity("product", p.version, p.content), "Name", "Stepaway", "Language", "1033", "Version", p.number,
		"Manufacturer", manufacturer, "UpgradeCode", upgradeCode},
		el("Package", attrs{"InstallerVersion", "500", "Compressed", "yes", "InstallScope", "perMachine", "Description", "Stepaway " + p.version}),
		el("MajorUpgrade", attrs{"DowngradeErrorMessage", "A newer version of Stepaway is installed. Remove it first if you want this one."}),
		el("Media", attrs{"Id", "1", "Cabinet", "stepaway.cab", "EmbedCab", "yes"}))
	root.Children = append(append(root.Children, p.properties()...), p.directories(), p.feature())
	doc := el("Wix", attrs{"xmlns", namespace}, root)
	out, err := xml.MarshalIndent(doc, "", "  ")
	return append([]byte(xml.Header), out...), err
}

// setting is something that the installation is told by a property, and remembers in the registry.
type setting struct{ property, value string }

var settings = []setting{
	{"COLLECTOR_URL", packaging.SetupCollector},
	{"SITE", packaging.SetupSite},
	{"UNIT", packaging.SetupUnit},
}

const tokenProperty = "ENROLL_TOKEN"

// remembered is the property that holds what an earlier installation was told.
func (s setting) remembered() string { return "REMEMBERED_" + s.property }

func (p product) properties() []element {
	out := []element{el("Property", attrs{"Id", "ARPNOMODIFY", "Value", "1"})}
	for _, s := range settings {
		out = append(out, el("Property", attrs{"Id", s.remembered()},
			el("RegistrySearch", attrs{"Id", "Search" + s.value, "Root", "HKLM", "Key", packaging.SetupKey, "Name", s.value, "Type", "raw", "Win64", "yes"})))
	}
	return append(out, el("Property", attrs{"Id", "WINDOWS_MAJOR"}, el("RegistrySearch", attrs{"Id", "SearchWindows", "Root", "HKLM",
		"Key", `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "Name", "CurrentMajorVersionNumber", "Type", "raw", "Win64", "yes"})))
}

func (p product) directories() element {
	in := func(id string) []element {
		var out []element
		for _, f := range p.files() {
			if f.directory == id {
				out = append(out, f.component())
			}
		}
		return out
	}
	templates := append(in(templatesDir),
		el("Directory", attrs{"Id", templatesDir + "English", "Name", "en-US"}, in(templatesDir+"English")...),
		el("Directory", attrs{"Id", templatesDir + "Spanish", "Name", "es-ES"}, in(templatesDir+"Spanish")...))
	top := el("Directory", attrs{"Id", "TARGETDIR", "Name", "SourceDir"},
		el("Directory", attrs{"Id", "ProgramFiles64Folder"}, el("Directory", attrs{"Id", programsDir, "Name", packaging.ProgramsName}, in(programsDir)...)),
		el("Directory", attrs{"Id", "CommonAppDataFolder"}, data("")),
		el("Directory", attrs{"Id", "WindowsFolder"}, el("Directory", attrs{"Id", templatesDir, "Name", "PolicyDefinitions"}, templates...)))
	for _, r := range keys() {
		top.Children = append(top.Children, r.component())
	}
	return top
}

// dataID is the identifier of a data directory, and of its component.
func dataID(path string) string {
	if path == "" {
		return dataDir
	}
	return dataDir + "_" + strings.NewReplacer(`\`, "_", ".", "_").Replace(path)
}

// data is the directory at path with those below it. Each is a component, so that it is made empty with its permissions.
func data(path string) element {
	name := packaging.DataName
	if path != "" {
		name = path[strings.LastIndex(path, `\`)+1:]
	}
	e := el("Directory", attrs{"Id", dataID(path), "Name", name}, component(dataID(path), el("CreateFolder", nil)))
	for _, d := range packaging.Directories() {
		if above, _, _ := cutLast(d.Path); d.Path != "" && above == path {
			e.Children = append(e.Children, data(d.Path))
		}
	}
	return e
}

func cutLast(path string) (above, name string, found bool) {
	i := strings.LastIndex(path, `\`)
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// component is one with a GUID that never changes for its identifier.
func component(id string, children ...element) element {
	return el("Component", attrs{"Id", id, "Guid", identity("component", id), "Win64", "yes"}, children...)
}

// component has a service started, and stopped when it is removed; not when it is repaired, as any user may ask for that.
func (f file) component() element {
	body := []element{el("File", attrs{"Id", f.id, "Name", f.name, "Source", f.staged(), "KeyPath", "yes"})}
	if s := f.service; s != nil {
		body = append(body,
			el("ServiceInstall", attrs{"Id", s.id, "Name", s.name, "DisplayName", s.display, "Description", s.about, "Type", "ownProcess",
				"Start", "auto", "ErrorControl", "normal", "Account", s.account, "Arguments", packaging.ServiceVerb}),
			el("ServiceControl", attrs{"Id", s.id + "Control", "Name", s.name, "Start", "install", "Stop", "uninstall", "Remove", "uninstall", "Wait", "yes"}))
	}
	return component(f.id, body...)
}

// wholeFeature is the only one. Later versions remove it by this name.
const wholeFeature = "Stepaway"

func (p product) feature() element {
	e := el("Feature", attrs{"Id", wholeFeature, "Level", "1", "Title", "Stepaway", "Absent", "disallow", "AllowAdvertise", "no"})
	for _, id := range p.components() {
		e.Children = append(e.Children, el("ComponentRef", attrs{"Id", id}))
	}
	return e
}

// components are the identifiers of all.
func (p product) components() []string {
	var out []string
	for _, f := range p.files() {
		out = append(out, f.id)
	}
	for _, d := range packaging.Directories() {
		out = append(out, dataID(d.Path))
	}
	for _, r := range keys() {
		out = append(out, r.id)
	}
	return out
}

// build writes the document and has wixl make the package of it.
func (p product) build(stage string) error {
	text, err := p.document()
	if err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return runIn(stage, text, "wixl", "-a", "x64", "-o", packageName, "stepaway.wxs")
}
