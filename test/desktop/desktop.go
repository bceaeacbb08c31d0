//go:build linux

// Package desktop gives the demonstration and the benchmark a desktop: a private virtual one, with a session
// bus, a window manager, a panel with a notification area and a notification daemon, or the caller's own.
//
// Failure rules: what is missing is an error that says to run `make deps`. Close ends only what was started
// here, by process handle, last first.
package desktop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience bounds every wait for something that should come at once.
const patience = 30 * time.Second

// Desktop is a screen on which programs can run.
type Desktop struct {
	Display string // X11 display such as ":4"
	Virtual bool   // made here, not the caller's
	dir     string // logs, runtime and home directory
	env     []string
	running []*Process
}

// Options say what a virtual desktop consists of beside its screen.
type Options struct {
	Width, Height int
	Bus           bool // a session bus of its own
	Panel         bool // window manager, panel with notification area, notification daemon; needs Bus
}

// New starts a virtual desktop with its files in dir, which exists and has a short path.
func New(dir string, o Options) (*Desktop, error) {
	d := &Desktop{Virtual: true, dir: dir}
	if err := d.start(o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// number is a display that nobody else will take, so that a desktop which ends is not mistaken for another that began:
// the lowest free number would go to the next.
func number() string { return ":" + strconv.Itoa(1000+rand.IntN(50_000)) }

func (d *Desktop) start(o Options) error {
	if err := d.makeHome(); err != nil {
		return err
	}
	screen := fmt.Sprintf("%dx%dx24", o.Width, o.Height)
	n, err := d.announce("Xvfb", number(), "-displayfd", "3", "-noreset", "-nolisten", "tcp", "-screen", "0", screen)
	if err != nil {
		return err
	}
	d.Display = ":" + n
	d.env = append(d.env, "DISPLAY="+d.Display)
	if o.Bus {
		if err := d.startBus(); err != nil {
			return err
		}
	}
	if o.Panel {
		return d.startPanel()
	}
	return nil
}

// makeHome makes the directories that desktop programs write to, so that none touches the caller's.
func (d *Desktop) makeHome() error {
	home, runtime := filepath.Join(d.dir, "home"), filepath.Join(d.dir, "run")
	for _, dir := range []string{home, runtime} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name == "PATH" || strings.HasPrefix(name, "LC_") || name == "LANG" || name == "TZ" || name == "USER" || name == "LOGNAME" {
			d.env = append(d.env, v)
		}
	}
	d.env = append(d.env, "HOME="+home, "XDG_RUNTIME_DIR="+runtime, "XDG_SESSION_TYPE=x11", "NO_AT_BRIDGE=1")
	return nil
}

func (d *Desktop) startBus() error {
	address, err := d.announce("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=3",
		"--address=unix:dir="+filepath.Join(d.dir, "run"))
	if err != nil {
		return err
	}
	d.env = append(d.env, "DBUS_SESSION_BUS_ADDRESS="+address)
	return nil
}

func (d *Desktop) startPanel() error {
	for path, text := range map[string]string{
		"home/.config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml": panelConfig,
		"dunstrc": dunstConfig,
	} {
		path = filepath.Join(d.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := d.Run("xsetroot", "-solid", "#35506b"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"xfwm4", "--compositor=off"},
		{"xfce4-panel", "--disable-wm-check"},
		{"dunst", "-conf", filepath.Join(d.dir, "dunstrc")},
	} {
		if _, err := d.Launch(args[0], args[0], args[1:]...); err != nil {
			return err
		}
	}
	return d.await("a notification area and a notification daemon", func() bool {
		return d.owned("org.kde.StatusNotifierWatcher") && d.owned("org.freedesktop.Notifications")
	})
}

// owned reports whether a program on the session bus holds the name.
func (d *Desktop) owned(name string) bool {
	out, err := d.Command("dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.DBus", "/",
		"org.freedesktop.DBus.NameHasOwner", "string:"+name).Output()
	return err == nil && strings.Contains(string(out), "boolean true")
}

func (d *Desktop) await(what string, cond func() bool) error {
	for end := time.Now().Add(patience); !cond(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain for %s", patience, what)
		}
	}
	return nil
}

// announce starts a server that writes one line to its descriptor 3 once it is ready, and returns the line.
func (d *Desktop) announce(name string, args ...string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	cmd, err := d.command(name, args...)
	if err != nil {
		w.Close()
		return "", err
	}
	cmd.ExtraFiles = []*os.File{w}
	p, err := Launch(d.dir, name, cmd)
	w.Close()
	if err != nil {
		return "", err
	}
	d.running = append(d.running, p)
	_ = r.SetReadDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("wait for %s: %w: %s", name, err, p.Output())
	}
	return strings.TrimSpace(line), nil
}

// Own is the caller's desktop, or nil where DISPLAY is not set or does not answer.
func Own(dir string) *Desktop {
	d := &Desktop{Display: os.Getenv("DISPLAY"), dir: dir, env: os.Environ()}
	if d.Display == "" || d.Run("xdpyinfo") != nil {
		return nil
	}
	return d
}

// Command prepares a program to run on the desktop; a missing one fails when it is started.
func (d *Desktop) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = d.env
	return cmd
}

func (d *Desktop) command(name string, args ...string) (*exec.Cmd, error) {
	if _, err := exec.LookPath(name); err != nil {
		return nil, fmt.Errorf("%s is not there: run `make deps`", name)
	}
	return d.Command(name, args...), nil
}

// Run runs a program on the desktop to its end.
func (d *Desktop) Run(name string, args ...string) error {
	cmd, err := d.command(name, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Launch starts a program on the desktop until Close, its output in log.log of the desktop's directory.
func (d *Desktop) Launch(log, name string, args ...string) (*Process, error) {
	cmd, err := d.command(name, args...)
	if err != nil {
		return nil, err
	}
	p, err := Launch(d.dir, log, cmd)
	if err != nil {
		return nil, err
	}
	d.running = append(d.running, p)
	return p, nil
}

// Setenv sets a variable for every program started from now on.
func (d *Desktop) Setenv(name, value string) {
	kept := d.env[:0:0]
	for _, v := range d.env {
		if !strings.HasPrefix(v, name+"=") {
			kept = append(kept, v)
		}
	}
	d.env = append(kept, name+"="+value)
}

// Move moves the pointer by so many pixels, as a mouse would: through XTEST. Setting it to a place on the screen
// would be a warp, which comes from no device and is not input.
func (d *Desktop) Move(dx, dy int) error {
	return d.Run("xdotool", "mousemove_relative", "--", strconv.Itoa(dx), strconv.Itoa(dy))
}

// Picture writes what the screen shows to a PNG file.
func (d *Desktop) Picture(path string) error {
	return d.Run("import", "-window", "root", "-colors", "128", "png:"+path)
}

// Close ends what was started on the desktop and the desktop itself, last first.
func (d *Desktop) Close() error {
	var errs []error
	for i := len(d.running) - 1; i >= 0; i-- {
		errs = append(errs, d.running[i].Stop(5*time.Second))
	}
	d.running = nil
	return errors.Join(errs...)
}

const panelConfig = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
 <property name="configver" type="int" value="2"/>
 <property name="panels" type="array"><value type="int" value="1"/>
  <property name="panel-1" type="empty">
   <property name="position" type="string" value="p=8;x=0;y=0"/>
   <property name="length" type="uint" value="100"/>
   <property name="position-locked" type="bool" value="true"/>
   <property name="size" type="uint" value="32"/>
   <property name="plugin-ids" type="array">
    <value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/>
   </property>
  </property>
 </property>
 <property name="plugins" type="empty">
  <property name="plugin-1" type="string" value="tasklist"/>
  <property name="plugin-2" type="string" value="separator"><property name="expand" type="bool" value="true"/></property>
  <property name="plugin-3" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property>
 </property>
</channel>
`

const dunstConfig = `[global]
    width = 420
    height = 300
    origin = top-right
    offset = 24x24
    font = DejaVu Sans 12
    frame_width = 2
    padding = 14
    horizontal_padding = 16
    mouse_left_click = do_action
    idle_threshold = 0
    show_indicators = no
    follow = none
`
