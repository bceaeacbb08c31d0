package file

import (
	"context"
	"errors"
)

// Watch is not on this system yet.
func (s Source) Watch(ctx context.Context) (<-chan struct{}, error) {
	return nil, errors.New("watch policy: not on this system yet")
}
