package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type signingCommand struct {
	List   signingListCommand   `cmd:"" default:"withargs" help:"List the keys that token-exchange signs with."`
	Rotate signingRotateCommand `cmd:"" help:"Make a new signing key before it is due."`
}

type signingListCommand struct{ operatorFlags }

// Run prints a line per key.
func (c *signingListCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	keys, err := a.SigningKeys(ctx)
	if err != nil {
		return err
	}
	return printSigningKeys(os.Stdout, keys)
}

func printSigningKeys(to io.Writer, keys []api.SigningKey) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tALGORITHM\tSTATE\tSIGNS FROM\tENDS\tSEALED BY")
	for _, k := range keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.KeyID, k.Algorithm, k.State, moment(&k.SignsFrom), moment(k.EndsAt), k.EncryptionKeyID)
	}
	return table.Flush()
}

type signingRotateCommand struct {
	operatorFlags
	Emergency bool `help:"End all other keys in 15 seconds, on every replica: for keys that others may know."`
}

// Run prints the keys as they then are.
func (c *signingRotateCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	keys, err := a.RotateSigningKeys(ctx, api.Rotation{Emergency: c.Emergency})
	if err != nil {
		return err
	}
	return printSigningKeys(os.Stdout, keys)
}

type secretKeysCommand struct {
	List     secretKeysListCommand     `cmd:"" default:"withargs" help:"List the keys of token-exchange's own key files by ID, and what depends on each."`
	Generate secretKeysGenerateCommand `cmd:"" help:"Make a line for such a file, offline."`
}

type secretKeysListCommand struct{ operatorFlags }

// Run prints a line per key. A line of a file may go when nothing depends on it.
func (c *secretKeysListCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	keys, err := a.SecretKeys(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FILE\tKEY\tSTATE\tAPI KEYS\tBLOCKS\tSIGNING KEYS")
	for _, k := range keys {
		state := "reads"
		switch {
		case k.Current:
			state = "current"
		case !k.InFile:
			state = "MISSING"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\n", k.File, k.ID, state, k.APIKeys, k.Blocks, k.SigningKeys)
	}
	return table.Flush()
}

type secretKeysGenerateCommand struct {
	ID string `arg:"" help:"A name for the key that was not used before, such as the date."`
}

// Run prints the line.
func (c *secretKeysGenerateCommand) Run() error {
	// The line is shown once: a full disk behind a redirection must not pass.
	_, err := fmt.Print(api.GenerateSecretKey(c.ID))
	return err
}

type tokensCommand struct {
	End tokensEndCommand `cmd:"" help:"End every token that a client got until now; it fetches new ones."`
}

type tokensEndCommand struct {
	operatorFlags
	Client string `arg:"" help:"The client."`
}

// Run ends the tokens.
func (c *tokensEndCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if err := a.EndTokens(ctx, c.Client); err != nil {
		return err
	}
	fmt.Printf("Every token that %s got until now is dead.\n", c.Client)
	return nil
}
