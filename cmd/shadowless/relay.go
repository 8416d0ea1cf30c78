package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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
