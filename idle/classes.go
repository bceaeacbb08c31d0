package idle

import (
	"fmt"
	"strings"

	"stepaway/x11"
)

// classes says which devices of a display are a person's.
//
// What is known of the names. Each master has a slave "... XTEST pointer" and "... XTEST keyboard", through which xdotool
// injects (tested), and by its documentation x11vnc too. Xvfb makes "Xvfb mouse" and "Xvfb keyboard", which never say
// anything (tested). TigerVNC's server says what the remote person does by "TigerVNC pointer" and "TigerVNC keyboard"
// (tested); xorgxrdp is taken to do so by "xrdpMouse" and "xrdpKeyboard" (not run); they count as hardware here. A uinput
// device that the X server took in looks like hardware: where the seat's devices can be read, evdev is used, which tells it
// apart. Names come from the server, and a client cannot change them; a user who runs a server of his own can.
type classes struct {
	devices  map[uint16]x11.Device
	injected map[uint16]bool
	hardware int  // devices that are a person's
	assume   bool // there is hardware, whatever the list says
}

// classify sorts the devices of a display. Masters say nothing by themselves.
func classify(devices []x11.Device, assumeHardware bool) classes {
	c := classes{devices: map[uint16]x11.Device{}, injected: map[uint16]bool{}, assume: assumeHardware}
	for _, d := range devices {
		c.devices[d.ID] = d
		switch {
		case d.Use == x11.MasterPointer || d.Use == x11.MasterKeyboard:
			c.injected[d.ID] = true
		case madeByProgram(d.Name):
			c.injected[d.ID] = true
		case !strings.HasPrefix(d.Name, "Xvfb "):
			c.hardware++
		}
	}
	return c
}

func madeByProgram(name string) bool {
	return strings.HasSuffix(name, "XTEST pointer") || strings.HasSuffix(name, "XTEST keyboard")
}

// believes tells whether input from a device counts as a person's. On a display without any hardware nothing but injected
// input ever comes, so there it counts.
func (c classes) believes(device uint16) bool {
	_, known := c.devices[device]
	return c.virtual() || known && !c.injected[device]
}

func (c classes) virtual() bool { return c.hardware == 0 && !c.assume }

// String is for the log line.
func (c classes) String() string {
	if c.virtual() {
		return "xi2: no hardware on this display, injected input counts"
	}
	return fmt.Sprintf("xi2: hardware=%d, injected input does not count", c.hardware)
}
