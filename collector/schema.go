package collector

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// schemas holds, for each engine, the steps 1.sql, 2.sql, ... A step that was released never changes.
//
//go:embed schema
var schemas embed.FS

// steps answers what brings a schema of some version up to date.
func steps(engine string, version int) (rest []string, err error) {
	for n := 1; ; n++ {
		body, err := schemas.ReadFile(fmt.Sprintf("schema/%s/%d.sql", engine, n))
		switch {
		case errors.Is(err, fs.ErrNotExist) && version >= n:
			return nil, fmt.Errorf("its schema has version %d, this program knows %d: a newer stepaway-collector made it; use that one", version, n-1)
		case errors.Is(err, fs.ErrNotExist):
			return rest, nil
		case err != nil:
			return nil, err
		case n > version:
			rest = append(rest, string(body))
		}
	}
}
