package registry

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/windows"
	win "golang.org/x/sys/windows/registry"

	"stepaway/policy"
)

// Source is what stands below HKLM\Software\Policies\Stepaway.
type Source struct{}

// Documents reads all values as one document. None at all is fs.ErrNotExist.
func (Source) Documents() ([]policy.Document, error) {
	w := walk{}
	if err := w.read(policy.RegistryRoot, "", 0); err != nil {
		return nil, err
	}
	doc, err := policy.FromRegistry(w.values)
	if err != nil {
		return nil, err
	}
	if len(doc.Text) == 0 {
		return nil, fmt.Errorf("%s: %w", policy.RegistryName, fs.ErrNotExist)
	}
	return []policy.Document{doc}, nil
}

// walk gathers values. They may come and go meanwhile: the watch then tells of it, and they are read again.
type walk struct {
	values []policy.RegistryValue
	size   int
}

// read takes the key at path, which is below says from the root, with everything under it. A key that is gone has no values.
func (w *walk) read(path, below string, depth int) error {
	k, err := win.OpenKey(win.LOCAL_MACHINE, path, win.QUERY_VALUE|win.ENUMERATE_SUB_KEYS|win.WOW64_64KEY)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf(`open HKLM\%s: %w`, path, err)
	}
	defer k.Close()
	if err := w.readValues(k, below); err != nil {
		return fmt.Errorf(`read HKLM\%s: %w`, path, err)
	}
	subkeys, err := k.ReadSubKeyNames(policy.MaxRegistryValues)
	if err != nil && !errors.Is(err, io.EOF) && !gone(err) {
		return fmt.Errorf(`list HKLM\%s: %w`, path, err)
	}
	if depth == policy.MaxRegistryDepth && len(subkeys) > 0 {
		return fmt.Errorf(`HKLM\%s: subkeys deeper than a policy has`, path)
	}
	for _, s := range subkeys {
		next := s
		if below != "" {
			next = below + `\` + s
		}
		if err := w.read(path+`\`+s, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) readValues(k win.Key, below string) error {
	names, err := k.ReadValueNames(policy.MaxRegistryValues + 1)
	if err != nil && !errors.Is(err, io.EOF) && !gone(err) {
		return err
	}
	for _, name := range names {
		data, kind, err := value(k, name)
		if gone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("value %q: %w", name, err)
		}
		w.values = append(w.values, policy.RegistryValue{Key: below, Name: name, Type: kind, Data: data})
		if w.size += len(below) + len(name) + len(data); w.size > policy.MaxFile || len(w.values) > policy.MaxRegistryValues {
			return fmt.Errorf("more than %d values or %d KiB of policy", policy.MaxRegistryValues, policy.MaxFile>>10)
		}
	}
	return nil
}

// value reads one value of at most policy.MaxFile bytes.
func value(k win.Key, name string) ([]byte, uint32, error) {
	buf := make([]byte, 4096)
	for {
		n, kind, err := k.GetValue(name, buf)
		switch {
		case err == nil:
			return buf[:n:n], kind, nil
		case !errors.Is(err, win.ErrShortBuffer):
			return nil, 0, err
		case len(buf) > policy.MaxFile:
			return nil, 0, fmt.Errorf("larger than %d KiB", policy.MaxFile>>10)
		}
		buf = make([]byte, 4*len(buf))
	}
}

// gone says that a key or value is not there, or went while it was open.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, windows.ERROR_KEY_DELETED)
}
