//go:build cgo

package main

/*
#cgo pkg-config: gtk+-3.0
#include <gtk/gtk.h>

void stepawayTitle(void);

static gboolean title_now(gpointer unused) {
	stepawayTitle();
	return G_SOURCE_REMOVE;
}

static void title_soon(void) {
	g_idle_add(title_now, NULL);
}

static int have_display(void) {
	return gtk_init_check(NULL, NULL);
}
*/
import "C"

import (
	"fmt"
	"sync/atomic"

	"github.com/getlantern/systray"

	"stepaway/picture"
	"stepaway/tray"
)

// haveDisplay reports whether GTK can open the session's display. Without one systray would end the process.
func haveDisplay() bool { return C.have_display() != 0 }

// newestTitle is what stepawayTitle sets: systray's SetTitle may only be called on GTK's own thread.
var newestTitle atomic.Value

//export stepawayTitle
func stepawayTitle() { systray.SetTitle(newestTitle.Load().(string)) }

// iconSize in pixels; panels make it smaller.
const iconSize = 64

// menu puts a tray.Menu on the screen. systray only adds items, so they are made once.
type menu struct {
	icons  map[picture.Icon][]byte // systray reads them later, so they are kept
	icon   picture.Icon
	title  string
	slots  []*slot
	clicks chan tray.ID
}

// slot is one item on the screen, with what it shows.
type slot struct {
	item     *systray.MenuItem // nil: a line across
	id       tray.ID
	text     string
	enabled  bool
	hidden   bool
	children []*slot
}

func newMenu(m tray.Menu) (*menu, error) {
	n := &menu{icons: map[picture.Icon][]byte{}, icon: m.Icon, clicks: make(chan tray.ID, 1)}
	for _, i := range []picture.Icon{picture.Open, picture.Warning, picture.Urgent, picture.Closed, picture.Crossed} {
		png, err := i.PNG(iconSize)
		if err != nil {
			return nil, fmt.Errorf("draw the icon: %w", err)
		}
		n.icons[i] = png
	}
	systray.SetIcon(n.icons[m.Icon])
	n.setTitle(m.Title)
	for _, i := range m.Items {
		if i.ID == tray.Separator {
			systray.AddSeparator()
			n.slots = append(n.slots, &slot{id: i.ID})
			continue
		}
		n.slots = append(n.slots, n.add(i, systray.AddMenuItem(i.Text, "")))
	}
	return n, nil
}

// add takes an item that was just put on the screen, and puts its children below it.
func (n *menu) add(i tray.Item, item *systray.MenuItem) *slot {
	s := &slot{item: item, id: i.ID, text: i.Text, enabled: true}
	if i.ID == tray.LockNow {
		go func() {
			for range item.ClickedCh {
				select {
				case n.clicks <- i.ID:
				default: // one is waiting already
				}
			}
		}()
	}
	for _, child := range i.Children {
		s.children = append(s.children, n.add(child, item.AddSubMenuItem(child.Text, "")))
	}
	s.update(i)
	return s
}

// show brings the screen to m, touching only what differs.
func (n *menu) show(m tray.Menu) {
	if m.Icon != n.icon {
		n.icon = m.Icon
		systray.SetIcon(n.icons[m.Icon])
	}
	if m.Title != n.title {
		n.setTitle(m.Title)
	}
	for i, s := range n.slots {
		s.update(m.Items[i])
	}
}

func (n *menu) setTitle(title string) {
	n.title = title
	newestTitle.Store(title)
	C.title_soon()
}

func (s *slot) update(i tray.Item) {
	if s.item == nil {
		return
	}
	if s.enabled != i.Enabled {
		s.enabled = i.Enabled
		if i.Enabled {
			s.item.Enable()
		} else {
			s.item.Disable()
		}
	}
	if s.text != i.Text {
		s.item.SetTitle(i.Text) // shows it too
		s.text, s.hidden = i.Text, false
	}
	if i.Text == "" && !s.hidden {
		s.item.Hide()
		s.hidden = true
	}
	for k, child := range s.children {
		child.update(i.Children[k])
	}
}
