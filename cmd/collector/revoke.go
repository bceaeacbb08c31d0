package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/collector"
	"stepaway/uplink"
)

// revoked is what `revoke --json` prints.
type revoked struct {
	Device       audit.Label `json:"device"`
	Revoked      bool        `json:"revoked"`
	Certificates int64       `json:"certificates"` // that were good till now
}

func revoke(ctx context.Context, args []string) error {
	fs := flags("revoke DEVICE", `Refuses a device from now on, at every collector of the store and on open connections too: every certificate that it
has, and its unused tokens. Its records stay, here and on the device, which keeps what it writes until it is enrolled
again with a new token.`)
	at := placeFlags(fs)
	undo := fs.Bool("undo", false, "lets certificates of the site's own PKI in again that were never seen here; those that were stay refused")
	asJSON := fs.Bool("json", false, "print JSON")
	names, err := cmdline.Parse(fs, args, "DEVICE")
	if err != nil {
		return err
	}
	device := audit.Label(names[0])
	if err := uplink.CheckDevice(device); err != nil {
		return cmdline.Wrong(fs, "%v", err)
	}
	return withStore(ctx, at, func(_ *collector.Authority, s *collector.Store) error {
		done, err := revokeOne(ctx, s, device, *undo)
		switch {
		case errors.Is(err, collector.ErrDevice) && *undo:
			return fmt.Errorf("%s is not revoked", device)
		case errors.Is(err, collector.ErrDevice):
			return fmt.Errorf("%s is not known; `stepaway-collector devices` lists those that are", device)
		case err != nil:
			return err
		case *asJSON:
			return json.NewEncoder(os.Stdout).Encode(done)
		case *undo:
			fmt.Printf("%s may show certificates that were never seen here\n", device)
		default:
			fmt.Printf("%s is revoked: %d certificates; to let it in again: stepaway-collector token %s\n", device, done.Certificates, device)
		}
		return nil
	})
}

func revokeOne(ctx context.Context, s *collector.Store, device audit.Label, undo bool) (revoked, error) {
	done := revoked{Device: device, Revoked: !undo}
	f := audit.Facts{Key: device, Code: "revoked"}
	var err error
	if undo {
		f.Code = "readmitted"
		err = s.Readmit(ctx, device)
	} else {
		done.Certificates, err = s.Revoke(ctx, device, time.Now())
		f.Count = done.Certificates
	}
	if err != nil {
		return done, err
	}
	return done, s.Record(ctx, audit.CertificateRevoked, f, time.Now())
}
