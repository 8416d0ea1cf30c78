package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

func relay(ctx context.Context, f *operatorFlags) (*api.Client, error) {
	client, err := f.client(ctx, api.Audience, api.Scope)
	if err != nil {
		return nil, err
	}
	return api.NewClient(f.IdentityRelayURL, client)
}

type erasuresCommand struct {
	List    erasuresListCommand    `cmd:"" default:"withargs" help:"List erasures: state and who has not answered."`
	Show    erasuresShowCommand    `cmd:"" help:"One erasure with its receipts and its certificate."`
	Release erasuresReleaseCommand `cmd:"" help:"Let an erasure go on that the breaker holds."`
}

type erasuresListCommand struct {
	operatorFlags
	State string `help:"Only those in this state: held, grace, requested or complete."`
	Late  bool   `help:"Only those that are late."`
}

// Run prints a line per erasure.
func (c *erasuresListCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ERASURE\tSTATE\tOPENED\tBY\tWAITING FOR")
	filter := api.ErasureFilter{State: c.State, Late: c.Late}
	for {
		page, err := r.Erasures(ctx, filter)
		if err != nil {
			return err
		}
		for _, e := range page.Erasures {
			state := e.State
			if e.Late {
				state += ", late"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.ID, state, e.OpenedAt.UTC().Format(time.RFC3339), e.Source, strings.Join(e.WaitingFor, ", "))
		}
		if page.Next == "" {
			return table.Flush()
		}
		filter.After = page.Next
	}
}

type erasuresShowCommand struct {
	operatorFlags
	ID string `arg:"" help:"The erasure's ID, as in the list."`
}

// Run prints the erasure as JSON.
func (c *erasuresShowCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	e, err := r.Erasure(ctx, c.ID)
	if err != nil {
		return err
	}
	return printJSON(e)
}

type erasuresReleaseCommand struct {
	operatorFlags
	ID string `arg:"" help:"The erasure's ID, as in the list."`
}

// Run releases the erasure.
func (c *erasuresReleaseCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if _, err := r.ReleaseErasure(ctx, c.ID); err != nil {
		return err
	}
	fmt.Printf("Erasure %s goes on.\n", c.ID)
	return nil
}

type revokeCommand struct {
	operatorFlags
	Kind string `arg:"" enum:"user,session,token,client,block" help:"user: all tokens issued until now; session; token; client: all its tokens issued until now; block: the user, until lifted."`
	ID   string `arg:"" help:"The ID of what is revoked."`
	Lift bool   `help:"Take the revocation away again."`
}

// Run revokes or lifts.
func (c *revokeCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if c.Lift {
		if _, err := r.Lift(ctx, c.Kind, c.ID); err != nil {
			return err
		}
		fmt.Printf("The %s revocation is lifted.\n", c.Kind)
		return nil
	}
	revoked, err := r.Revoke(ctx, c.Kind, c.ID)
	if err != nil {
		return err
	}
	fmt.Printf("Revoked at %s; it is on its way to every replica.\n", revoked.RevokedAt.UTC().Format(time.RFC3339))
	return nil
}

type reconcileCommand struct {
	operatorFlags
	AcceptShrink bool `help:"Believe a list of users that is suspiciously short."`
}

// Run starts one pass and prints its result.
func (c *reconcileCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	result, err := r.Reconcile(ctx, api.ReconcileRequest{AcceptShrink: c.AcceptShrink})
	if err != nil {
		return err
	}
	return printJSON(result)
}

func printJSON(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
