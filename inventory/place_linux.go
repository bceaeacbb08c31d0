package inventory

// Place says where the parts of an installation are.
type Place struct {
	Programs  []string          // absolute paths; told by the last name
	Units     []string          // names of units, such as stepaway.service
	UnitDirs  map[string]string // short name to directory in which unit files and drop-ins are looked for
	Files     map[string]string // name to absolute path of other files
	Manager   string            // path of systemctl; "" if nothing is asked
	Bytes     int64             // at most so much of one file is read; a longer one is "too-long"
	PerFolder int               // at most so many drop-ins of one directory
}

// System is the place of an installation under systemd with its programs in a directory.
func System(programs string) Place {
	p := Place{
		Units: []string{"stepaway.socket", "stepaway.service", "stepaway-courier.service"},
		UnitDirs: map[string]string{"etc": "/etc/systemd/system", "run": "/run/systemd/system",
			"local": "/usr/local/lib/systemd/system", "lib": "/usr/lib/systemd/system"},
		Files:     map[string]string{"autostart": "/etc/xdg/autostart/stepaway-tray.desktop"},
		Manager:   "/usr/bin/systemctl",
		Bytes:     256 << 20,
		PerFolder: 64,
	}
	for _, name := range []string{"stepaway-agent", "stepaway-courier", "stepaway-tray"} {
		p.Programs = append(p.Programs, programs+"/"+name)
	}
	return p
}
