package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// packer makes the archive. Newer releases do not build here.
const packer = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0"

const maintainer = "Stepaway maintainers <maintainers@stepaway.example>"

// deb is one package.
type deb struct {
	Name, Version string
	Summary, Text string
	Programs      []string
	Depends       []string
	Recommends    []string
	Files         []item
}

// item is one file of a package. Source is below the checkout; where it is empty Body is the content.
type item struct {
	Path, Source string
	Body         []byte
	Mode         os.FileMode
	Config       bool // the administrator's changes are kept
}

// debs are the packages without what is made for them.
func debs(version string) []deb {
	return []deb{
		{Name: "stepaway", Version: version, Programs: []string{"stepaway-agent", "stepaway-courier", "stepaway-tray"},
			Summary: "locks a workstation when its user steps away",
			Text: "Measures inactivity by hardware input on a clock that counts sleep, warns,\nlocks, looks for proof that the lock took, and keeps a chained record of it\nuntil a central collector has it.\n" +
				"It is an automatic logoff for clinic workstations.",
			// what the tray is linked with, by dpkg-shlibdeps, and what the services need
			Depends: []string{"libayatana-appindicator3-1 (>= 0.4.90)", "libc6 (>= 2.34)", "libglib2.0-0 (>= 2.31.8)", "libgtk-3-0 (>= 3.0.0)",
				"systemd (>= 252)", "passwd", "dbus", "libpam-systemd"},
			Recommends: []string{"i3lock | xsecurelock | xscreensaver"},
			Files: []item{
				{Path: "/usr/lib/systemd/system/stepaway.socket", Source: "packaging/systemd/stepaway.socket"},
				{Path: "/usr/lib/systemd/system/stepaway.service", Source: "packaging/systemd/stepaway.service"},
				{Path: "/usr/lib/systemd/system/stepaway-courier.service", Source: "packaging/systemd/stepaway-courier.service"},
				{Path: "/usr/lib/systemd/system/stepaway-enroll.path", Source: "packaging/systemd/stepaway-enroll.path"},
				{Path: "/usr/lib/systemd/system/stepaway-enroll.service", Source: "packaging/systemd/stepaway-enroll.service"},
				{Path: "/usr/lib/sysusers.d/stepaway.conf", Source: "packaging/sysusers.d/stepaway.conf"},
				{Path: "/etc/xdg/autostart/stepaway-tray.desktop", Source: "packaging/xdg/stepaway-tray.desktop", Config: true},
				{Path: "/etc/stepaway/policy.yaml", Source: "packaging/policy/policy.yaml", Config: true},
				{Path: "/usr/share/doc/stepaway/policy.schema.json", Source: "packaging/policy/policy.schema.json"},
				{Path: "/usr/share/doc/stepaway/install.md", Source: "docs/install.md"},
				{Path: "/usr/share/doc/stepaway/operate.md", Source: "docs/operate.md"},
				{Path: "/usr/share/doc/stepaway/policy.md", Source: "docs/policy.md"},
				{Path: "/usr/share/doc/stepaway/attack-surface.md", Source: "docs/attack-surface.md"},
			}},
		{Name: "stepaway-collector", Version: version, Programs: []string{"stepaway-collector"},
			Summary: "takes and keeps the records of workstations with Stepaway",
			Text:    "The central end of Stepaway: enrolls workstations, takes their records over\nmutual TLS, checks their chains, keeps them and answers questions about them.",
			Depends: []string{"systemd (>= 252)", "passwd"},
			Files: []item{
				{Path: "/usr/lib/systemd/system/stepaway-collector.service", Source: "packaging/systemd/stepaway-collector.service"},
				{Path: "/usr/lib/sysusers.d/stepaway-collector.conf", Source: "packaging/sysusers.d/stepaway-collector.conf"},
				{Path: "/etc/default/stepaway-collector", Source: "packaging/deb/stepaway-collector/default", Config: true},
				{Path: "/usr/share/doc/stepaway-collector/install.md", Source: "docs/install.md"},
				{Path: "/usr/share/doc/stepaway-collector/delivery.md", Source: "docs/delivery.md"},
			}},
	}
}

var sinceTag = regexp.MustCompile(`-([0-9]+)-g([0-9a-f]+)$`)

// debVersion is a version as Debian sorts it: before a release comes its candidate, after it what was added to it.
func debVersion(v string) string {
	return strings.ReplaceAll(sinceTag.ReplaceAllString(v, "+$1.$2"), "-", "~")
}

// complete adds the programs and what is made from them: manual pages, completion, and the texts that Debian asks for.
func (p *deb) complete(root, programs string, at time.Time) error {
	for _, name := range p.Programs {
		body, err := os.ReadFile(filepath.Join(programs, name))
		if err != nil {
			return fmt.Errorf("package %s: %w; run `make build`", p.Name, err)
		}
		p.add("/usr/bin/"+name, body, 0o755)
		c, err := learn(filepath.Join(programs, name), name)
		if err != nil {
			return err
		}
		about := pages[name]
		if err := p.addZipped(fmt.Sprintf("/usr/share/man/man%d/%s.%d.gz", about.Section, name, about.Section), manual(c, about, p.Version, at)); err != nil {
			return err
		}
		p.add("/usr/share/bash-completion/completions/"+name, []byte(bash(c)), 0o644)
		p.add("/usr/share/zsh/vendor-completions/_"+name, []byte(zsh(c)), 0o644)
	}
	doc := "/usr/share/doc/" + p.Name
	if err := p.addZipped(doc+"/changelog.gz", changelog(*p, at)); err != nil {
		return err
	}
	p.Files = append(p.Files, item{Path: doc + "/copyright", Source: "packaging/deb/copyright"},
		item{Path: "/usr/share/lintian/overrides/" + p.Name, Source: filepath.Join("packaging/deb", p.Name, "lintian-overrides")})
	for i, f := range p.Files {
		if f.Source == "" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(root, f.Source))
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		p.Files[i].Body, p.Files[i].Mode = body, 0o644
	}
	return nil
}

func (p *deb) add(path string, body []byte, mode os.FileMode) {
	p.Files = append(p.Files, item{Path: path, Body: body, Mode: mode})
}

func (p *deb) addZipped(path, text string) error {
	body, err := zipped(text)
	p.add(path, body, 0o644)
	return err
}

func changelog(p deb, at time.Time) string {
	return fmt.Sprintf("%s (%s) stable; urgency=medium\n\n  * Built from the project's own sources, where every change is told.\n\n -- %s  %s\n",
		p.Name, p.Version, maintainer, at.UTC().Format(time.RFC1123Z))
}

// pack makes the archive in out and returns its name.
func (p deb) pack(root, out string, at time.Time) (name string, err error) {
	stage, err := os.MkdirTemp("", "stepaway-deb")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(stage)
	spec := p.spec(at)
	for _, f := range p.Files {
		spec.Contents = append(spec.Contents, f.content(at))
		if err := put(filepath.Join(stage, f.Path), f.Body, f.Mode); err != nil {
			return "", err
		}
	}
	for name, field := range map[string]*string{"preinst": &spec.Scripts.Preinstall, "postinst": &spec.Scripts.Postinstall,
		"prerm": &spec.Scripts.Preremove, "postrm": &spec.Scripts.Postremove} {
		body, err := os.ReadFile(filepath.Join(root, "packaging/deb", p.Name, name))
		if os.IsNotExist(err) {
			continue
		} else if err != nil {
			return "", err
		}
		if err := put(filepath.Join(stage, name), body, 0o755); err != nil {
			return "", err
		}
		*field = name
	}
	text, err := yaml.Marshal(spec)
	if err != nil {
		return "", err
	}
	if err := put(filepath.Join(stage, "nfpm.yaml"), text, 0o644); err != nil {
		return "", err
	}
	name = p.Name + "_" + p.Version + "_amd64.deb"
	if out, err = filepath.Abs(out); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", packer, "package", "--packager", "deb", "--config", "nfpm.yaml", "--target", filepath.Join(out, name))
	cmd.Dir = stage
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod -buildvcs=false")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pack %s: %w: %s", name, err, said)
	}
	return name, nil
}

func put(path string, body []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, mode)
}
