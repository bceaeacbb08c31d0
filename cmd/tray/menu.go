//go:build (linux && cgo) || windows

package main

import (
	"fmt"

	"github.com/getlantern/systray"

	"stepaway/picture"
	"stepaway/tray"
)

// menu puts a tray.Menu on the screen. systray only adds items, so they are made once.
type menu struct {
	icons  map[picture.Icon][]byte // systray reads them later, so they are kept
	shown  tray.Menu               // its icon, title and tooltip
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
	n := &menu{icons: map[picture.Icon][]byte{}, clicks: make(chan tray.ID, 1)}
	for _, i := range []picture.Icon{picture.Open, picture.Warning, picture.Urgent, picture.Closed, picture.Crossed} {
		file, err := iconFile(i)
		if err != nil {
			return nil, fmt.Errorf("draw the icon: %w", err)
		}
		n.icons[i] = file
	}
	systray.SetIcon(n.icons[m.Icon])
	setTitle(m.Title)
	setTooltip(m.Tooltip)
	n.shown = m
	for _, i := range m.Items {
		if i.ID == tray.Separator {
			systray.AddSeparator()
			n.slots = append(n.slots, &slot{id: i.ID})
			continue
		}
		n.slots = append(n.slots, n.add(i, systray.AddMenuItem(itemText(i.Text), "")))
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
		s.children = append(s.children, n.add(child, item.AddSubMenuItem(itemText(child.Text), "")))
	}
	s.update(i)
	return s
}

// show brings the screen to m, touching only what differs.
func (n *menu) show(m tray.Menu) {
	if m.Icon != n.shown.Icon {
		systray.SetIcon(n.icons[m.Icon])
	}
	if m.Title != n.shown.Title {
		setTitle(m.Title)
	}
	if m.Tooltip != n.shown.Tooltip {
		setTooltip(m.Tooltip)
	}
	n.shown = m
	for i, s := range n.slots {
		s.update(m.Items[i])
	}
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
		s.item.SetTitle(itemText(i.Text)) // shows it too
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
