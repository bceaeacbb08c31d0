package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// content is the hash of a file, or the word for what it is instead.
func content(ctx context.Context, f *os.File, most int64) string {
	info, err := f.Stat()
	switch {
	case err != nil:
		return unreadable
	case !info.Mode().IsRegular():
		return "special"
	case info.Size() > most:
		return "too-long"
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(&until{ctx, f}, most+1))
	switch {
	case err != nil:
		return unreadable
	case n > most: // it grows
		return "too-long"
	}
	return hex.EncodeToString(h.Sum(nil))
}

// until is a reader that ends with a context.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}
