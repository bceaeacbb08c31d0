package main

import (
	"context"
	"errors"

	"stepaway/cmdline"
)

func diagnose(_ context.Context, args []string) error {
	if _, err := cmdline.Parse(flags("doctor", "Looks for what keeps this workstation from being locked in time."), args); err != nil {
		return err
	}
	return errors.New("doctor is not on this system yet")
}
