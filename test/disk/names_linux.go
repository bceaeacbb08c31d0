package disk

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// name serves the requests that name something in the directory n.
func (t *tree) name(opcode uint32, n *node, b []byte) ([]byte, syscall.Errno) {
	skip := map[uint32]int{opMkdir: 8, opRename: 8, opRen2: 16, opCreate: 16}[opcode]
	names := bytes.Split(bytes.TrimSuffix(b[skip:], []byte{0}), []byte{0})
	name := string(names[0])
	child := n.files[name]
	switch {
	case opcode == opMkdir && child == nil:
		return t.make(n, name, unix.S_IFDIR|le.Uint32(b)&0o7777)
	case opcode == opCreate && child == nil:
		entry, errno := t.make(n, name, unix.S_IFREG|le.Uint32(b[4:])&0o7777)
		return append(entry, t.opened()...), errno
	case opcode == opMkdir || opcode == opCreate:
		return nil, unix.EEXIST
	case child == nil:
		return nil, unix.ENOENT
	case opcode == opLookup:
		return entryAnswer(child), 0
	case opcode == opRename || opcode == opRen2:
		return nil, t.rename(n, child, name, t.nodes[le.Uint64(b)], string(names[1]))
	case len(child.files) > 0:
		return nil, unix.ENOTEMPTY
	}
	_, errno := t.ask(Op{Kind: Remove, Path: child.name})
	if errno == 0 {
		delete(n.files, name)
	}
	return nil, errno
}

func (t *tree) make(n *node, name string, mode uint32) ([]byte, syscall.Errno) {
	child := t.add(n, name, mode)
	if _, errno := t.ask(Op{Kind: Create, Path: child.name}); errno != 0 {
		delete(n.files, name)
		return nil, errno
	}
	return entryAnswer(child), 0
}

func (t *tree) rename(from, child *node, name string, to *node, newName string) syscall.Errno {
	if to == nil {
		return unix.ESTALE
	}
	path := strings.TrimPrefix(to.name+"/"+newName, "/")
	if _, errno := t.ask(Op{Kind: Rename, Path: child.name, To: path}); errno != 0 {
		return errno
	}
	delete(from.files, name)
	to.files[newName] = child
	child.name = path
	return 0
}

// list gives the directory's entries from a position on, as many as find room.
func (n *node) list(from uint64, room int) (out []byte) {
	names := slices.Sorted(maps.Keys(n.files))
	for i := from; i < uint64(len(names)); i++ {
		name, child := names[i], n.files[names[i]]
		e := le.AppendUint64(nil, child.id)
		e = le.AppendUint64(e, i+1)
		e = le.AppendUint32(e, uint32(len(name)))
		e = le.AppendUint32(e, child.mode>>12)
		e = append(e, name...)
		e = append(e, make([]byte, (8-len(e)%8)%8)...)
		if len(out)+len(e) > room {
			break
		}
		out = append(out, e...)
	}
	return out
}

func initAnswer(b []byte) []byte {
	const bigWrites, maxPages = 1 << 5, 1 << 22
	out := le.AppendUint32(nil, 7)
	out = le.AppendUint32(out, min(le.Uint32(b[4:]), 31))
	out = le.AppendUint32(out, le.Uint32(b[8:])) // read ahead as the kernel likes
	out = le.AppendUint32(out, bigWrites|maxPages)
	out = le.AppendUint32(out, 0) // background requests: the kernel's own limits
	out = le.AppendUint32(out, maxWrite)
	out = le.AppendUint32(out, 1)            // granularity of times in ns
	out = le.AppendUint32(out, maxWrite>>12) // pages of a request
	return append(out, make([]byte, 64-len(out))...)
}

func (t *tree) opened() []byte {
	out := make([]byte, 16)
	if t.direct {
		out[8] = 1 // FOPEN_DIRECT_IO
	}
	return out
}

// attr is the kernel's struct fuse_attr. Nothing of it is kept in a cache but for the moment.
func attr(n *node) []byte {
	out := le.AppendUint64(nil, n.id)
	out = le.AppendUint64(out, uint64(n.size()))
	out = le.AppendUint64(out, uint64(n.size()+511)/512)
	out = append(out, make([]byte, 3*8+3*4)...) // times
	out = le.AppendUint32(out, n.mode)
	out = le.AppendUint32(out, 1)          // links
	out = append(out, make([]byte, 12)...) // owner, group, device
	out = le.AppendUint32(out, 4096)
	return le.AppendUint32(out, 0)
}

func attrAnswer(n *node) []byte { return append(make([]byte, 16), attr(n)...) }

func entryAnswer(n *node) []byte {
	out := le.AppendUint64(nil, n.id)
	return append(append(out, make([]byte, 32)...), attr(n)...)
}

func statfsAnswer() []byte {
	out := make([]byte, 80)
	for i := range 5 {
		le.PutUint64(out[i*8:], 1<<30)
	}
	le.PutUint32(out[40:], 4096)
	le.PutUint32(out[44:], 255)
	le.PutUint32(out[48:], 4096)
	return out
}
