package x11

import "testing"

func TestSelectionIsTakenAndGivenUp(t *testing.T) {
	display, authority := xvfb(t)
	one, two := dial(t, display, authority), dial(t, display, authority)
	own := func(c *Conn, window uint32) {
		t.Helper()
		if err := c.SetSelectionOwner(window, AtomPrimary); err != nil {
			t.Fatal(err)
		}
		if err := c.Sync(); err != nil {
			t.Fatal(err)
		}
		if got, err := c.GetSelectionOwner(AtomPrimary); got != window || err != nil {
			t.Errorf("the owner is %x, %v; want %x", got, err, window)
		}
	}
	window := func(c *Conn) uint32 {
		t.Helper()
		w, err := c.CreateWindow(Window{Width: 1, Height: 1})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	own(one, window(one))
	own(two, window(two))
	if e, err := one.Next(within(t)); err != nil || e.Code != SelectionClear || e.Sent {
		t.Errorf("the owner before is told %+v, %v", e, err)
	}
	own(two, 0)
}

func TestPropertyIsDeleted(t *testing.T) {
	c := dialNew(t)
	root := c.Screen.Root
	if err := c.ChangeProperty(root, AtomCutBuffer0, AtomString, 8, []byte("text")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also one that is not there
		if err := c.DeleteProperty(root, AtomCutBuffer0); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Sync(); err != nil {
		t.Error(err)
	}
	if p, err := c.GetProperty(root, AtomCutBuffer0, 16); err != nil || p.Type != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
