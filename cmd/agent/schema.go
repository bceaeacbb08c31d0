package main

import (
	"context"
	"os"

	"stepaway/cmdline"
	"stepaway/policy/render"
)

func policySchema(_ context.Context, args []string) error {
	f := flags("policy schema", "Prints the JSON Schema of policy.yaml, for editors.")
	if _, err := cmdline.Parse(f, args); err != nil {
		return err
	}
	_, err := os.Stdout.Write(render.Schema())
	return err
}
