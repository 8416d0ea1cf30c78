package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/doctor"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/internal/streams"
)

type doctorCommand struct {
	operatorFlags
	Refusals     bool `help:"Send what must be refused, and fail if any of it is accepted."`
	UntilExpired bool `help:"Also wait for a token to expire, about a quarter of an hour."`
}

// Run examines the running system.
func (c *doctorCommand) Run(ctx context.Context) error {
	if !c.Refusals {
		return errors.New("say what to examine: --refusals")
	}
	manage, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	client, err := httpclient.New(c.CAFile)
	if err != nil {
		return err
	}
	key, err := config.ReadSecretFile(c.APIKeyFile)
	if err != nil {
		return err
	}
	results, err := doctor.Refusals(ctx, doctor.Target{
		TokenExchangeURL: c.TokenExchangeURL, ClientID: streams.Operator, APIKey: key, HTTPClient: client, Admin: manage,
		UntilExpired: c.UntilExpired, Progress: func(text string) { fmt.Fprintln(os.Stderr, text) },
	})
	if printed := doctor.Print(os.Stdout, results); printed != nil {
		return printed
	}
	return errors.Join(err, doctor.Err(results))
}
