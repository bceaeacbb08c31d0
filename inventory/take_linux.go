package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Take looks at everything once. It never fails: what cannot be read is a value. The policy's hash is that of the one
// in force. A context that ends leaves the rest unreadable.
func (p Place) Take(ctx context.Context, version, policy string) State {
	s := State{Version: version, Items: map[string]string{Policy: word(policy)}}
	for _, path := range p.Programs {
		p.file(ctx, s, filepath.Base(path), path)
	}
	for name, path := range p.Files {
		p.file(ctx, s, name, path)
	}
	paths := p.unitFiles(s)
	paths = append(paths, p.settings(ctx, s)...)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		p.file(ctx, s, p.unitName(path), path)
	}
	return s
}

// file adds what one file holds, whose it is and who may write it; nothing if it is not there.
func (p Place) file(ctx context.Context, s State, name, path string) {
	name = label(name, longest-len(owner)) // the longest attribute
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return
	}
	if err == nil && info.Mode().Type() == fs.ModeSymlink {
		to, _ := os.Readlink(path)
		s.add(name+link, hash([]byte(to)))
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		s.add(name, unreadable)
		return
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		s.add(name, unreadable)
		return
	}
	s.add(name+owner, fmt.Sprintf("%d:%d", st.Uid, st.Gid))
	s.add(name+mode, fmt.Sprintf("%04o", st.Mode&0o7777))
	s.add(name, content(ctx, f, p.Bytes))
}

// unitFiles lists the unit files and drop-ins on disk, also those that are not in force yet.
func (p Place) unitFiles(s State) []string {
	var out []string
	for short, dir := range p.UnitDirs {
		for _, folder := range p.folders() {
			more, err := filepath.Glob(filepath.Join(dir, folder, "*.conf"))
			if err == nil && len(more) > p.PerFolder {
				s.add(short+":"+folder+" more", fmt.Sprint(len(more)-p.PerFolder))
				more = more[:p.PerFolder]
			}
			out = append(out, more...)
		}
		for _, unit := range p.Units {
			out = append(out, filepath.Join(dir, unit))
		}
	}
	for i := range out {
		out[i] = real(out[i])
	}
	return out
}

// folders are the drop-in directories that systemd reads for the units: their own, those of a common beginning of the
// name, and that of all services.
func (p Place) folders() []string {
	out := []string{"service.d"}
	for _, unit := range p.Units {
		out = append(out, unit+".d")
		for i, r := range unit {
			if r == '-' {
				out = append(out, unit[:i+1]+".service.d")
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unitName is a unit file's path as a short name.
func (p Place) unitName(path string) string {
	for short, dir := range p.UnitDirs {
		if rest, ok := strings.CutPrefix(path, filepath.Dir(real(filepath.Join(dir, "x")))+"/"); ok {
			return short + ":" + rest
		}
	}
	return "unit:" + strings.TrimPrefix(path, "/")
}

// real is a path with the links in its directory followed, so that a file reached by two ways is one.
func real(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, filepath.Base(path))
}
