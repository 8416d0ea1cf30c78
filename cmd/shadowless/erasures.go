package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

type erasuresCommand struct {
	List    erasuresListCommand    `cmd:"" default:"withargs" help:"List erasures: state and who has not answered."`
	Show    erasuresShowCommand    `cmd:"" help:"One erasure with its receipts and its certificate."`
	Hold    erasuresHoldCommand    `cmd:"" help:"Stop an erasure that has asked nobody yet, or keep a user from being erased, by a legal hold."`
	Holds   erasuresHoldsCommand   `cmd:"" help:"List the legal holds that are not lifted."`
	Lift    erasuresLiftCommand    `cmd:"" help:"Lift a legal hold."`
	Release erasuresReleaseCommand `cmd:"" help:"Let an erasure go on that the breaker or a legal hold stops."`
	Retry   erasuresRetryCommand   `cmd:"" help:"Ask the participants again, with a new deadline."`
	Readmit erasuresReadmitCommand `cmd:"" help:"Let the user of an erasure come back; what was erased stays erased."`
}

type erasuresListCommand struct {
	operatorFlags
	State string `help:"Only those in this state: held, grace, requested, complete or withdrawn."`
	Late  bool   `help:"Only those that are late."`
	User  string `help:"Only those of this user ID."`
}

// Run prints a line per erasure.
func (c *erasuresListCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ERASURE\tSTATE\tOPENED\tBY\tWAITING FOR")
	filter := api.ErasureFilter{State: c.State, Late: c.Late, User: c.User}
	for {
		page, err := r.Erasures(ctx, filter)
		if err != nil {
			return err
		}
		for _, e := range page.Erasures {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.ID, standing(e), e.OpenedAt.UTC().Format(time.RFC3339), e.Source, strings.Join(e.WaitingFor, ", "))
		}
		if page.Next == "" {
			return table.Flush()
		}
		filter.After = page.Next
	}
}

// standing is the state with what an operator wants to know beside it.
func standing(e api.Erasure) string {
	words := []string{e.State}
	if e.Late {
		words = append(words, "late")
	}
	if e.OverLimit {
		words = append(words, "over the limit")
	}
	if e.LegalHold != "" {
		words = append(words, "legal hold")
	}
	if e.Round > 1 {
		words = append(words, fmt.Sprintf("round %d", e.Round))
	}
	if e.ReadmittedAt != nil {
		words = append(words, "readmitted")
	}
	return strings.Join(words, ", ")
}

type erasuresShowCommand struct {
	operatorFlags
	ID          string `arg:"" help:"The erasure's ID, as in the list."`
	Certificate bool   `help:"The certificate alone, as text for people."`
}

var errNoCertificate = errors.New("the erasure is not complete, so it has no certificate yet")

// Run prints the erasure as JSON, or its certificate as text.
func (c *erasuresShowCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	e, err := r.Erasure(ctx, c.ID)
	if err != nil {
		return err
	}
	if !c.Certificate {
		return printJSON(e)
	}
	if len(e.Certificate) == 0 {
		return errNoCertificate
	}
	var certificate api.Certificate
	if err := json.Unmarshal(e.Certificate, &certificate); err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	return certificate.WriteText(os.Stdout)
}

type erasuresHoldCommand struct {
	operatorFlags
	ID     string `arg:"" optional:"" help:"The erasure's ID, as in the list."`
	User   string `help:"A user ID in place of an erasure's: an erasure that is opened later waits, too."`
	Reason string `required:"" help:"Why, such as a file number. It outlives the erasure and must not name the user."`
}

// Validate wants one of the two.
func (c *erasuresHoldCommand) Validate() error {
	if (c.ID == "") == (c.User == "") {
		return errors.New("name an erasure or, with --user, a user")
	}
	return nil
}

// Run places the hold.
func (c *erasuresHoldCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if c.User != "" {
		placed, err := r.HoldUser(ctx, c.User, c.Reason)
		if err == nil {
			fmt.Printf("The user's data is not erased until legal hold %s is lifted.\n", placed.ID)
		}
		return err
	}
	if _, err := r.HoldErasure(ctx, c.ID, c.Reason); err != nil {
		return err
	}
	fmt.Printf("Erasure %s waits until it is released.\n", c.ID)
	return nil
}

type erasuresHoldsCommand struct{ operatorFlags }

// Run prints a line per hold.
func (c *erasuresHoldsCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LEGAL HOLD\tPLACED\tBY\tUSER (KEYED HASH)\tREASON")
	for after := ""; ; {
		page, err := r.LegalHolds(ctx, after)
		if err != nil {
			return err
		}
		for _, h := range page.LegalHolds {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.ID, h.PlacedAt.UTC().Format(time.RFC3339), h.PlacedBy, h.UserHash, h.Reason)
		}
		if after = page.Next; after == "" {
			return table.Flush()
		}
	}
}

type erasuresLiftCommand struct {
	operatorFlags
	ID string `arg:"" help:"The legal hold's ID, as in the list of holds."`
}

// Run lifts the hold.
func (c *erasuresLiftCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if _, err := r.LiftHold(ctx, c.ID); err != nil {
		return err
	}
	fmt.Println("The legal hold is lifted; an erasure that nothing else holds goes on after its grace period.")
	return nil
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

type erasuresRetryCommand struct {
	operatorFlags
	ID string `arg:"" help:"The erasure's ID, as in the list."`
}

// Run asks again.
func (c *erasuresRetryCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	e, err := r.RetryErasure(ctx, c.ID)
	if err != nil {
		return err
	}
	fmt.Printf("Asked again; waiting for %s until %s.\n", strings.Join(e.WaitingFor, ", "), moment(e.DueAt))
	return nil
}

type erasuresReadmitCommand struct {
	operatorFlags
	ID     string `arg:"" help:"The erasure's ID, as in the list."`
	User   string `required:"" help:"The user's ID: the relay knows it by a hash alone and compares."`
	Reason string `required:"" help:"Why, such as a file number. It outlives the erasure and must not name the user."`
}

// Run readmits the user.
func (c *erasuresReadmitCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	e, err := r.Readmit(ctx, c.ID, c.User, c.Reason)
	if err != nil {
		return err
	}
	if e.State == "withdrawn" {
		fmt.Println("The erasure is withdrawn; nothing was erased, and the user is let in again.")
		return nil
	}
	fmt.Println("The user may come back; what was erased stays erased.")
	return nil
}
