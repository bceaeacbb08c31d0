package disk

import (
	"bytes"
	"os"
	"path/filepath"
)

// Durable is what a file system holds for certain: of each file what was synced. Names are taken to be durable at once.
type Durable struct{ files map[string]*content }

type content struct{ seen, synced []byte }

// NewDurable begins with nothing.
func NewDurable() *Durable { return &Durable{files: map[string]*content{}} }

// Do takes a change that is made.
func (d *Durable) Do(op Op) {
	c := d.files[op.Path]
	if c == nil {
		c = &content{}
		d.files[op.Path] = c
	}
	switch op.Kind {
	case Write:
		c.grow(op.Off + int64(len(op.Data)))
		copy(c.seen[op.Off:], op.Data)
	case Truncate:
		c.grow(op.Off)
		c.seen = c.seen[:op.Off]
	case Sync:
		c.synced = bytes.Clone(c.seen)
	case Rename:
		delete(d.files, op.Path)
		d.files[op.To] = c
	case Remove, SyncDir:
		delete(d.files, op.Path)
	}
}

func (c *content) grow(to int64) {
	if more := to - int64(len(c.seen)); more > 0 {
		c.seen = append(c.seen, make([]byte, more)...)
	}
}

// Copy writes the files to the directory to.
func (d *Durable) Copy(to string) error {
	for path, c := range d.files {
		path = filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			continue
		}
		if err := os.WriteFile(path, c.synced, 0o600); err != nil {
			return err
		}
	}
	return nil
}
