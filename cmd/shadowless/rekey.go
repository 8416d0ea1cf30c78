package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

var errConflicts = errors.New("both users have rows of which only one may stay, and no manifest says which")

type rekeyCommand struct {
	operatorFlags
	Old           string        `arg:"" help:"The user ID until now, byte for byte."`
	New           string        `arg:"" help:"The user ID from now on, byte for byte."`
	DryRun        bool          `help:"Count and change nothing."`
	AcceptUnknown bool          `help:"Believe in a new user whom the identity provider does not know."`
	Again         bool          `help:"Ask everybody once more, for a service that came later or was restored from a backup."`
	Wait          time.Duration `help:"How long to wait for every participant's answer." default:"30s"`
	JSON          bool          `help:"Print JSON."`
}

// Run gives the user another ID everywhere and prints what each participant did.
func (c *rekeyCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	k, err := r.Rekey(ctx, c.Old, c.New, api.RekeyRequest{DryRun: c.DryRun, AcceptUnknown: c.AcceptUnknown, Again: c.Again})
	if err != nil {
		return explained(err)
	}
	for until := time.Now().Add(c.Wait); k.State == "requested" && time.Now().Before(until); {
		if err := pause(ctx, watchInterval); err != nil {
			return err
		}
		if k, err = r.Rekeying(ctx, k.ID); err != nil {
			return err
		}
	}
	if err := printRekeying(k, c.JSON); err != nil {
		return err
	}
	if k.Conflicts {
		return errConflicts
	}
	for _, a := range k.Answers {
		if a.Problem != "" {
			return fmt.Errorf("%w: %s %s", errIncomplete, a.Participant, a.Problem)
		}
	}
	if len(k.WaitingFor) > 0 {
		return fmt.Errorf("%w: waiting for %s; see shadowless rekeyings show %s", errIncomplete, strings.Join(k.WaitingFor, ", "), k.ID)
	}
	return nil
}

// explained adds what the relay said of a refusal.
func explained(err error) error {
	if refused, ok := errors.AsType[*api.Error](err); ok && refused.Title != "" {
		return fmt.Errorf("%w: %s", err, refused.Title)
	}
	return err
}

func printRekeying(k api.Rekeying, asJSON bool) error {
	if asJSON {
		return printJSON(k)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PARTICIPANT\tTABLE\tCOLUMN\tACTION\tROWS\tMERGED\tUNDECIDED\tREMARK")
	for _, a := range k.Answers {
		if len(a.Columns) == 0 {
			remark := a.Problem
			if remark == "" {
				remark = "has not answered"
			}
			fmt.Fprintf(table, "%s\t\t\t\t\t\t\t%s\n", a.Participant, remark)
		}
		for _, c := range a.Columns {
			remark := c.Reason
			if c.Conflict != "" && (c.Merged > 0 || c.Refused > 0) {
				remark = c.Conflict + ": " + remark
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", a.Participant, c.Table, c.Column, c.Action, c.Rows, c.Merged, c.Refused, remark)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if k.ID == "" {
		fmt.Println("\nA dry run: nothing was changed.")
		return nil
	}
	fmt.Printf("\nRekeying %s: %s", k.ID, k.State)
	if len(k.WaitingFor) > 0 {
		fmt.Printf("; waiting for %s", strings.Join(k.WaitingFor, ", "))
	}
	fmt.Printf("; %d messages about the old ID deleted from the stream.\n", k.MessagesDeleted)
	return nil
}

type rekeyingsCommand struct {
	List rekeyingsListCommand `cmd:"" default:"withargs" help:"List rekeyings: state and who has not answered."`
	Show rekeyingsShowCommand `cmd:"" help:"One rekeying with what each participant did."`
}

type rekeyingsListCommand struct {
	operatorFlags
	Open bool `help:"Only those that somebody has not answered."`
}

// Run prints a line per rekeying.
func (c *rekeyingsListCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	list, err := r.Rekeyings(ctx, c.Open)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REKEYING\tSTATE\tOPENED\tBY\tWAITING FOR")
	for _, k := range list.Rekeyings {
		state := k.State
		if k.Late {
			state += ", late"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, state, moment(k.OpenedAt), k.RequestedBy, strings.Join(k.WaitingFor, ", "))
	}
	return table.Flush()
}

type rekeyingsShowCommand struct {
	operatorFlags
	ID   string `arg:"" help:"The rekeying's ID, as in the list."`
	JSON bool   `help:"Print JSON."`
}

// Run prints what each participant did.
func (c *rekeyingsShowCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	k, err := r.Rekeying(ctx, c.ID)
	if err != nil {
		return err
	}
	return printRekeying(k, c.JSON)
}
