package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stepaway/audit"
	"stepaway/courier"
	"stepaway/uplink"
)

// told is what the installation was told when it was made. What policy says stands above it.
type told struct {
	collector  string // where to enrol, and to deliver while neither policy nor enrolment names another; ""
	site, unit audit.Label
}

// enrolAgain is how long a token that was left for this device waits for the next try.
const enrolAgain = time.Minute

// enrolWhenTold uses the one-time token that the installation left, if there is one, until the device is enrolled, and takes
// it away then. Enrolment is noticed as any other is.
func (r *running) enrolWhenTold(ctx context.Context) {
	if string(r.state) != defaultState { // another device's, or nobody's
		return
	}
	for {
		token, err := leftToken()
		if err == nil && token == "" {
			return
		}
		if err == nil {
			err = r.enrolBy(ctx, token)
		}
		if err == nil {
			err = removeToken()
		}
		if err == nil {
			return
		}
		r.log.Warn("the enrolment token that was left for this device is tried again", "after", enrolAgain, "err", err)
		if !pause(ctx, enrolAgain) {
			return
		}
	}
}

// enrolBy enrolls with a token, unless that was done already and only the token is left over.
func (r *running) enrolBy(ctx context.Context, token string) error {
	if _, err := courier.LoadIdentity(r.state.identity()); !errors.Is(err, courier.ErrNotEnrolled) {
		return err
	}
	e := enrolling{dir: string(r.state), token: token}
	t, err := uplink.ParseToken(token)
	if err != nil {
		return fmt.Errorf("the token: %w", err)
	}
	if e.URL = t.URL; e.URL == "" {
		e.URL = toldHere().collector
	}
	if o, err := r.fromPolicy(); err == nil {
		e.Proxy = o.Proxy
	}
	e.Timeout = 30 * time.Second
	device, err := e.run(ctx, flags("enroll", ""))
	if err != nil {
		return err
	}
	r.log.Info("enrolled with the token that was left", "device", device, "collector", e.URL)
	return nil
}
