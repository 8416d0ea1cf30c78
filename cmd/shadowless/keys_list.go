package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type keysListCommand struct {
	operatorFlags
	Client  string `arg:"" optional:"" help:"The client; without one all of them."`
	Overdue bool   `help:"Only keys that are older than their plan wants."`
}

// Run prints a line per key.
func (c *keysListCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	return listKeys(ctx, a, c.Client, c.Overdue, os.Stdout)
}

func listKeys(ctx context.Context, a *api.Admin, client string, overdue bool, out io.Writer) error {
	ids := []string{client}
	if client == "" {
		clients, err := a.Clients(ctx)
		if err != nil {
			return err
		}
		ids = ids[:0]
		for _, c := range clients {
			ids = append(ids, c.ID)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLIENT\tKEY\tSTATE\tCREATED\tEXPIRES\tREVOKED\tLAST USED")
	for _, id := range ids {
		keys, err := a.Keys(ctx, id)
		if err != nil {
			return fmt.Errorf("client %s: %w", id, err)
		}
		for _, k := range keys {
			state := k.State
			if k.Overdue {
				state += ", too old: rotate it"
			} else if overdue {
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				id, k.ID, state, moment(&k.CreatedAt), moment(k.ExpiresAt), moment(k.RevokedAt), moment(k.LastUsedAt))
		}
	}
	return table.Flush()
}
