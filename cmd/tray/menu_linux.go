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
	"sync/atomic"

	"github.com/getlantern/systray"

	"stepaway/picture"
)

// haveDisplay reports whether GTK can open the session's display. Without one systray would end the process.
func haveDisplay() bool { return C.have_display() != 0 }

// newestTitle is what stepawayTitle sets: systray's SetTitle may only be called on GTK's own thread.
var newestTitle atomic.Value

//export stepawayTitle
func stepawayTitle() { systray.SetTitle(newestTitle.Load().(string)) }

// iconSize in pixels; panels make it smaller.
const iconSize = 64

// iconFile is an icon as systray takes it here.
func iconFile(i picture.Icon) ([]byte, error) { return i.PNG(iconSize) }

// setTitle shows text beside the icon.
func setTitle(text string) {
	newestTitle.Store(text)
	C.title_soon()
}

// setTooltip does nothing: systray has none here.
func setTooltip(string) {}

// itemText is the text of an item as systray takes it here.
func itemText(s string) string { return s }
