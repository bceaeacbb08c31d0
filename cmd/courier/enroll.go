package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"stepaway/audit"
	"stepaway/cmdline"
	"stepaway/courier"
	"stepaway/uplink"
)

// enrolling is what `enroll` was asked for.
type enrolling struct {
	courier.EnrollOptions
	dir, token, tokenFile string
	own                   courier.Own
}

func enroll(ctx context.Context, args []string) error {
	var e enrolling
	fl := flags("enroll", `Makes this device known to a collector. A running courier takes it up by itself.
With --token: shows a one-time token, which `+"`stepaway-collector token`"+` printed, and keeps the certificate it gets.
With --cert and --key, or --thumbprint: uses a certificate of the site's own PKI, which the site renews. The device has
the name that its subject has as common name, or else its first DNS name. The key must be closed to all but root and
the courier's account.`)
	dir := stateFlag(fl)
	fl.StringVar(&e.URL, "collector", "", "`https://HOST:PORT` of the collector; may be left out if the token has it")
	fl.StringVar(&e.token, "token", "", "the `token`")
	fl.StringVar(&e.tokenFile, "token-file", "", "`file` that holds the token, instead of --token")
	fl.StringVar(&e.CA, "ca", "", "`file` with the CA of the collector's certificate; not needed with a token unless the site's own PKI issued it")
	fl.StringVar(&e.own.Cert, "cert", "", "`file` with this device's certificate, and what leads to its CA")
	fl.StringVar(&e.own.Key, "key", "", "`file` with its key")
	fl.StringVar(&e.own.Thumbprint, "thumbprint", "", "SHA-1 in `hex` of a certificate in the machine's store (Windows)")
	fl.StringVar(&e.Proxy, "proxy", "", "`http://HOST:PORT` of a proxy for this once; later the policy's collector.proxy counts")
	fl.DurationVar(&e.Timeout, "timeout", 30*time.Second, "how long to try")
	if _, err := cmdline.Parse(fl, args); err != nil {
		return err
	}
	e.dir = *dir
	if err := e.readToken(fl); err != nil {
		return err
	}
	device, err := e.run(ctx, fl)
	if err != nil {
		return err
	}
	if err := giveAway(state(e.dir).identity()); err != nil {
		return fmt.Errorf("enrolled, but the courier's account cannot read it: %w", err)
	}
	fmt.Printf("enrolled as %s at %s\n", device, e.URL)
	return nil
}

// readToken takes the token from its file.
func (e *enrolling) readToken(fl *flag.FlagSet) error {
	switch {
	case e.tokenFile == "":
		return nil
	case e.token != "":
		return cmdline.Wrong(fl, "--token-file takes the place of --token")
	}
	f, err := os.Open(e.tokenFile)
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	if e.token = strings.TrimSpace(string(b)); e.token == "" {
		return fmt.Errorf("read the token: %s is empty", e.tokenFile)
	}
	return nil
}

func (e *enrolling) run(ctx context.Context, fl *flag.FlagSet) (audit.Label, error) {
	site := e.own != courier.Own{}
	var t uplink.Token
	var err error
	switch {
	case site && e.token != "":
		return "", cmdline.Wrong(fl, "--token is for a device without a certificate of the site's own")
	case site:
		err = e.checkOwn(fl)
	default:
		t, err = e.checkToken(fl)
	}
	if err != nil {
		return "", err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	e.Dir = state(e.dir).identity()
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return "", fmt.Errorf("make the courier's directory: %w", err)
	}
	if site {
		return courier.EnrollOwn(ctx, e.EnrollOptions, e.own)
	}
	return courier.Enroll(ctx, e.EnrollOptions, t)
}

func (e *enrolling) checkOwn(fl *flag.FlagSet) (err error) {
	switch {
	case e.own.Thumbprint != "" && (e.own.Cert != "" || e.own.Key != ""):
		return cmdline.Wrong(fl, "--thumbprint takes the place of --cert and --key")
	case e.own.Thumbprint == "" && (e.own.Cert == "" || e.own.Key == ""):
		return cmdline.Wrong(fl, "--cert and --key go together")
	case e.CA == "":
		return cmdline.Wrong(fl, "--ca is missing: without a token nothing else tells the collector from another")
	case e.URL == "":
		return cmdline.Wrong(fl, "--collector is missing")
	}
	for _, path := range []*string{&e.own.Cert, &e.own.Key} { // they are read again when the courier runs elsewhere
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *enrolling) checkToken(fl *flag.FlagSet) (uplink.Token, error) {
	if e.token == "" {
		return uplink.Token{}, cmdline.Wrong(fl, "--token is missing")
	}
	t, err := uplink.ParseToken(e.token)
	switch {
	case err != nil:
		return t, cmdline.Wrong(fl, "--token: %v; it begins with sa1. and is the last line of `stepaway-collector token DEVICE`", err)
	case e.URL == "" && t.URL == "":
		return t, cmdline.Wrong(fl, "--collector is missing, and the token does not name one")
	case e.URL == "":
		e.URL = t.URL
	case t.URL != "" && t.URL != e.URL:
		return t, cmdline.Wrong(fl, "--collector %s contradicts the token, which is for %s", e.URL, t.URL)
	}
	return t, nil
}
