package main

import (
	"context"
	"fmt"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/httpclient"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// heldFlags are of whoever has a key in hand: the key is proof enough, and nobody
// has to be the operator.
type heldFlags struct {
	stateFlag
	TokenExchangeURL string `help:"Base URL of token-exchange." env:"SHADOWLESS_TOKEN_EXCHANGE_URL"`
	CAFile           string `help:"PEM certificates to trust." env:"CA_FILE" type:"path"`
	File             string `arg:"" type:"existingfile" help:"File with the whole key."`
}

// held reads the key and reaches the service without a token.
func (f *heldFlags) held(ctx context.Context) (*api.Admin, string, error) {
	key, err := api.ReadKeyFile(f.File)
	if err != nil {
		return nil, "", err
	}
	if f.TokenExchangeURL == "" {
		running, err := f.running(ctx)
		if err != nil {
			return nil, "", err
		}
		f.TokenExchangeURL = running.Ports.URL(devstack.TokenExchange)
	}
	client, err := httpclient.New(f.CAFile)
	if err != nil {
		return nil, "", err
	}
	a, err := api.NewAdmin(f.TokenExchangeURL, client)
	return a, key.Reveal(), err
}

type keysStatusCommand struct{ heldFlags }

// Run says what has become of the key.
func (c *keysStatusCommand) Run(ctx context.Context) error {
	a, key, err := c.held(ctx)
	if err != nil {
		return err
	}
	status, err := a.KeyStatus(ctx, key)
	if err != nil {
		return err
	}
	printStatus(status)
	return nil
}

type keysGiveUpCommand struct{ heldFlags }

// Run ends the key.
func (c *keysGiveUpCommand) Run(ctx context.Context) error {
	a, key, err := c.held(ctx)
	if err != nil {
		return err
	}
	status, err := a.RevokeHeldKey(ctx, key)
	if err != nil {
		return err
	}
	printStatus(status)
	return nil
}

func printStatus(s api.KeyStatus) {
	fmt.Printf("Key %s of %s is %s.\n", s.KeyID, s.ClientID, s.State)
	if s.BlockReason != "" {
		fmt.Println("Why:", s.BlockReason)
	}
	if s.ReplacedBy != "" {
		fmt.Println("Its successor is", s.ReplacedBy+".")
	}
}
