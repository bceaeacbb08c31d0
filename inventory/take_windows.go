package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"stepaway/packaging"
)

// Place says where the parts of an installation are.
type Place struct {
	Programs []string          // absolute paths; told by the last name
	Folder   string            // their directory: what else is in it counts by its name
	Keys     map[string]string // name to key below HKEY_LOCAL_MACHINE; all of its values count, and those of its key Security
	Logon    string            // key of what starts at logon; of it the value named after the installation counts
	Files    map[string]string // name to absolute path of other files
	Bytes    int64             // at most so much of one file is read; a longer one is "too-long"
}

const services = `SYSTEM\CurrentControlSet\Services\`

// System is the place of an installation with its programs in a directory.
func System(programs string) Place {
	p := Place{
		Folder: programs,
		Keys: map[string]string{packaging.AgentService: services + packaging.AgentService,
			packaging.CourierService: services + packaging.CourierService},
		Logon: `Software\Microsoft\Windows\CurrentVersion\Run`,
		Files: map[string]string{},
		Bytes: 256 << 20,
	}
	for _, name := range []string{"stepaway-agent.exe", "stepaway-courier.exe", "stepaway-tray.exe"} {
		p.Programs = append(p.Programs, filepath.Join(programs, name))
	}
	return p
}

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
	s.add("beside", p.beside())
	for name, key := range p.Keys {
		values(s, name, key)
		values(s, name+" Security", key+`\Security`)
	}
	s.add("logon", p.logon())
	return s
}

// file adds what one file holds, whose it is and who may write it; nothing if it is not there.
func (p Place) file(ctx context.Context, s State, name, path string) {
	name = label(name, longest-len(owner))
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.add(name, unreadable)
		return
	}
	defer f.Close()
	s.add(name+owner, permissions(f))
	s.add(name, content(ctx, f, p.Bytes))
}

// permissions is whose a file is and who may what with it.
func permissions(f *os.File) string {
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return unreadable
	}
	return hash([]byte(sd.String()))
}

// beside is what else is in the programs' directory: a library there might be loaded.
func (p Place) beside() string {
	list, err := os.ReadDir(p.Folder)
	if err != nil {
		return unreadable
	}
	var names []string
	for _, e := range list {
		if !slices.Contains(p.Programs, filepath.Join(p.Folder, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return word(strings.Join(names, "\n"))
}

// values adds every value of a key; nothing if the key is not there.
func values(s State, name, key string) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return
	}
	if err != nil {
		s.add(name, unreadable)
		return
	}
	defer k.Close()
	names, err := k.ReadValueNames(maxItems)
	if err != nil && !errors.Is(err, io.EOF) {
		s.add(name, unreadable)
		return
	}
	for _, v := range names {
		s.add(name+" "+v, value(k, v))
	}
}

// value is one value: a number or a text as it is, where that is short, else a hash.
func value(k registry.Key, name string) string {
	buf := make([]byte, 64<<10)
	n, kind, err := k.GetValue(name, buf)
	if err != nil {
		return unreadable
	}
	switch {
	case kind == registry.DWORD && n == 4:
		return fmt.Sprint(binary.LittleEndian.Uint32(buf))
	case kind == registry.SZ || kind == registry.EXPAND_SZ:
		if text, _, err := k.GetStringValue(name); err == nil {
			return word(text)
		}
	}
	return hash(append(binary.LittleEndian.AppendUint32(nil, kind), buf[:n]...))
}

func (p Place) logon() string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, p.Logon, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return unreadable
	}
	defer k.Close()
	text, _, err := k.GetStringValue(packaging.AgentService)
	if errors.Is(err, registry.ErrNotExist) {
		return gone
	}
	if err != nil {
		return unreadable
	}
	return word(text)
}
