package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"stepaway/trusted"
)

// load reads a file that only an administrator, the system and this process's user can have written. Its directory keeps it from others.
func load(path string, into any) error {
	b, err := trusted.Read(path, 0, maxKept)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %v", path, ErrDamaged, err)
	}
	return nil
}
