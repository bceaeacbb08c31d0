package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stepaway/cmdline"
	"stepaway/collector"
)

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func initVerb(ctx context.Context, args []string) error {
	fs := flags("init", "Makes the data directory with a CA, the key that signs acknowledgements, and a server certificate for\nlocalhost, this host and every --host; and the tables of the store.")
	at := placeFlags(fs)
	var hosts list
	fs.Var(&hosts, "host", "`name` or address that workstations reach the collector by; may be repeated")
	if _, err := cmdline.Parse(fs, args); err != nil {
		return err
	}
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/: ") && !strings.Contains(h, "::") {
			return cmdline.Wrong(fs, "--host %q: want a bare name or address, without scheme and port", h)
		}
	}
	if err := free(ctx, at); err != nil {
		return err
	}
	a, err := collector.Init(at.data, hosts, time.Now())
	if err != nil {
		return err
	}
	if err := withStore(ctx, at, func(*collector.Authority, *collector.Store) error { return nil }); err != nil {
		return err
	}
	fmt.Printf("collector made in %s\nCA fingerprint %s\n", at.data, a.Fingerprint())
	return nil
}

// free fails where the database cannot be used, or belongs to a collector already: before keys are made.
func free(ctx context.Context, at *place) error {
	if err := collector.CheckAddress(at.store); err != nil {
		return cmdline.Wrong(at.fs, "--store: %v", err)
	}
	if at.store == "" {
		return nil
	}
	s, err := collector.Open(ctx, at.data, at.store)
	if err != nil {
		return err
	}
	owned, err := s.Owned(ctx)
	if err == nil && owned {
		err = collector.ErrSite
	}
	return errors.Join(err, s.Close())
}
