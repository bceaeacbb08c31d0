package idle

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stepaway/session"
)

// witness is a compositor that tells of input.
type witness interface {
	begin(ctx context.Context) error
	watch(ctx context.Context) error // until it goes away or ctx ends
	close()
}

// findWitness looks for what tells of the input of a Wayland session.
func (f *follower) findWitness(ctx context.Context, s session.Session, facts *Facts) witness {
	conn, version, err := f.findNotifier(ctx, s.UID)
	facts.Notifier = version
	if conn != nil {
		return &notices{f: f, conn: conn}
	}
	m, second := f.findMonitor(ctx, s.UID)
	if m != nil {
		facts.Mutter = true
		return m
	}
	if err == nil {
		err = second
	}
	if err != nil {
		facts.Why = oneLine(err).Error()
	}
	return nil
}

// watchWitness sees the input that a compositor tells of until that goes away or the facts change. It owns v.
func (f *follower) watchWitness(ctx context.Context, v witness, facts Facts) {
	ctx, cancel := f.untilPoked(ctx)
	defer cancel()
	defer v.close()
	err := v.begin(ctx)
	if err == nil {
		f.choose(Choose(facts), true)
		err = v.watch(ctx)
	}
	if ctx.Err() == nil {
		facts.Notifier, facts.Mutter, facts.Why = 0, false, "lost: "+oneLine(err).Error()
		f.choose(Choose(facts), false)
	}
}

// untilPoked is a context that ends also when the facts may have changed, which is then left to be seen.
func (f *follower) untilPoked(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	f.w.running.Go(func() {
		select {
		case <-f.poke:
			f.again()
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// socketName is how compositors name their sockets.
var socketName = regexp.MustCompile(`^wayland-[0-9]{1,4}$`)

const maxCompositors = 4

// compositors are the sockets at which a session's compositor may listen, the likeliest first.
func (o Options) compositors(uid uint32) (paths []string) {
	dir := o.runtimeDir(uid)
	if own := os.Getenv("WAYLAND_DISPLAY"); !o.Root && own != "" {
		if !filepath.IsAbs(own) {
			own = filepath.Join(dir, own)
		}
		return []string{own}
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(4096)
	slices.Sort(names)
	for _, name := range names {
		if socketName.MatchString(name) && len(paths) < maxCompositors {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

func (o Options) runtimeDir(uid uint32) string {
	if own := os.Getenv("XDG_RUNTIME_DIR"); !o.Root && own != "" {
		return own
	}
	return filepath.Join(o.RunDir, "user", strconv.FormatUint(uint64(uid), 10))
}

// sessionBus is the socket of a user's bus.
func (o Options) sessionBus(uid uint32) string {
	own, ok := strings.CutPrefix(os.Getenv("DBUS_SESSION_BUS_ADDRESS"), "unix:path=")
	if !o.Root && ok {
		own, _, _ = strings.Cut(own, ",")
		return own
	}
	return filepath.Join(o.runtimeDir(uid), "bus")
}
