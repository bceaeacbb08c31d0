package collector

import "context"

// writing is write for what answers a value. It is looked at only where f is known to have ended: after a failure it may
// still run.
func writing[T any](ctx context.Context, e engine, f func(*tx) (T, error)) (T, error) {
	var made, none T
	err := e.write(ctx, func(x *tx) (err error) {
		made, err = f(x)
		return err
	})
	if err != nil {
		return none, err
	}
	return made, nil
}
