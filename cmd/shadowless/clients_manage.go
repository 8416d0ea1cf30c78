package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type clientsShowCommand struct {
	operatorFlags
	ID string `arg:"" help:"The client."`
}

// Run prints the registration as JSON.
func (c *clientsShowCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	client, err := a.Client(ctx, c.ID)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(client)
}

type clientsUnblockCommand struct {
	operatorFlags
	ID string `arg:"" help:"The client."`
}

// Run lifts the client's block.
func (c *clientsUnblockCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	blocked := false
	if _, err := a.ChangeClient(ctx, c.ID, api.ClientPatch{Blocked: &blocked}); err != nil {
		return err
	}
	fmt.Printf("%s is not blocked.\n", c.ID)
	return nil
}

type clientsUpstreamCommand struct {
	operatorFlags
	ID      string `arg:"" help:"The client."`
	KeyFile string `arg:"" optional:"" type:"existingfile" help:"File with its key at the upstream issuer; without one, the key that is kept is tried."`
	Remove  bool   `help:"Forget the key."`
}

// Run sets, tries or removes a client's key of broker mode.
func (c *clientsUpstreamCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if c.Remove {
		return a.RemoveUpstreamKey(ctx, c.ID)
	}
	var status api.UpstreamKeyStatus
	if c.KeyFile == "" {
		status, err = a.UpstreamKey(ctx, c.ID)
	} else {
		key, readErr := config.ReadSecretFile(c.KeyFile)
		if readErr != nil {
			return readErr
		}
		status, err = a.SetUpstreamKey(ctx, c.ID, key)
	}
	if err != nil {
		return err
	}
	if !status.Works {
		return fmt.Errorf("the upstream key of %s does not work: %s", c.ID, status.Problem)
	}
	fmt.Printf("The upstream key of %s works.\n", c.ID)
	return nil
}

type keysRotateCommand struct {
	operatorFlags
	Client  string        `arg:"" help:"The client."`
	Key     string        `arg:"" help:"The ID of the key to replace."`
	Overlap time.Duration `help:"How long the old key goes on; 0 ends it at once." default:"24h"`
	Expires time.Duration `help:"How long the new key lives; 0: until it is revoked."`
}

// Run prints the new key to standard output and everything else to standard error.
func (c *keysRotateCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	want := api.RotateKey{OverlapSeconds: int64(c.Overlap / time.Second)}
	if c.Expires > 0 {
		at := time.Now().Add(c.Expires)
		want.ExpiresAt = &at
	}
	key, err := a.RotateKey(ctx, c.Client, c.Key, want)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Key %s of %s takes over from %s, which ends in %s. It is shown this once:\n", key.ID, key.ClientID, c.Key, c.Overlap)
	fmt.Println(key.Secret)
	return nil
}

type keysImportCommand struct {
	operatorFlags
	Client string `arg:"" help:"The client."`
	File   string `arg:"" type:"existingfile" help:"File with a key that was generated elsewhere."`
}

// Run imports the key.
func (c *keysImportCommand) Run(ctx context.Context) error {
	key, err := api.ReadKeyFile(c.File)
	if err != nil {
		return err
	}
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	stored, err := a.ImportKey(ctx, c.Client, key)
	if err != nil {
		return err
	}
	fmt.Printf("Key %s of %s is %s.\n", stored.ID, stored.ClientID, stored.State)
	return nil
}
