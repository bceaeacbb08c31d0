package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/windows/registry"

	"stepaway/audit"
	"stepaway/packaging"
)

// toldHere is what the package's properties left in the registry, where only administrators write. What is not there was not told.
func toldHere() told {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, packaging.SetupKey, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return told{}
	}
	defer k.Close()
	value := func(name string) string {
		s, _, err := k.GetStringValue(name)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(s)
	}
	return told{value(packaging.SetupCollector), label(value(packaging.SetupSite)), label(value(packaging.SetupUnit))}
}

func label(s string) audit.Label {
	if s == "" {
		return ""
	}
	return audit.MakeLabel(s)
}

// leftToken is the one-time token that the package was given; "" where there is none.
func leftToken() (string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, packaging.EnrolKey, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the enrolment token: %w", err)
	}
	defer k.Close()
	s, _, err := k.GetStringValue(packaging.EnrolToken)
	if err != nil && !errors.Is(err, registry.ErrNotExist) {
		return "", fmt.Errorf("read the enrolment token: %w", err)
	}
	return strings.TrimSpace(s), nil
}

func removeToken() error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, packaging.EnrolKey, registry.SET_VALUE|registry.WOW64_64KEY)
	if err == nil {
		defer k.Close()
		err = k.DeleteValue(packaging.EnrolToken)
	}
	if err != nil && !errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("remove the enrolment token, which was used: %w", err)
	}
	return nil
}
