package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// watchInterval is how often a command asks how far the relay is.
const watchInterval = 500 * time.Millisecond

var errIncomplete = errors.New("incomplete")

type auditOrphansCommand struct {
	operatorFlags
	Resume  string `help:"Go on with the audit of this ID instead of beginning one."`
	Partial bool   `help:"Go on without a participant that does not answer."`
	ShowIDs bool   `name:"show-ids" help:"Show user IDs, as base64url, beside their keyed hashes."`
	JSON    bool   `help:"Print JSON."`
}

// Run begins an audit, or goes on with one, and waits for its end. The relay
// carries it out and keeps where it stands: whoever stops this command loses
// nothing.
func (c *auditOrphansCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	request := api.OrphanAuditRequest{Partial: c.Partial}
	var audit api.OrphanAudit
	if c.Resume != "" {
		audit, err = r.ResumeOrphanAudit(ctx, c.Resume, request)
	} else {
		audit, err = r.StartOrphanAudit(ctx, request)
	}
	if err != nil {
		return err
	}
	told := ""
	for audit.State == "running" {
		if line := progress(audit); line != told {
			told = line
			fmt.Fprintln(os.Stderr, line)
		}
		if err := pause(ctx, watchInterval); err != nil {
			fmt.Fprintf(os.Stderr, "The relay goes on; see it again with --resume %s\n", audit.ID)
			return err
		}
		if audit, err = r.OrphanAudit(ctx, audit.ID); err != nil {
			return err
		}
	}
	findings, err := allOrphans(ctx, r, audit.ID, c.ShowIDs)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(struct {
			api.OrphanAudit
			Findings []api.Orphan `json:"findings"`
		}{audit, findings})
	} else {
		err = printOrphans(audit, findings, c.ShowIDs)
	}
	if err != nil {
		return err
	}
	if audit.State != "finished" {
		return fmt.Errorf("%w: %s; go on with --resume %s", errIncomplete, audit.Problem, audit.ID)
	}
	for _, h := range audit.Holders {
		if !h.Complete {
			return fmt.Errorf("%w: %s %s", errIncomplete, h.Name, h.Problem)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func progress(a api.OrphanAudit) string {
	switch a.Phase {
	case "holders":
		var ids int64
		for _, h := range a.Holders {
			ids += h.IDs
		}
		return fmt.Sprintf("participants: %d user IDs read", ids)
	case "list":
		return fmt.Sprintf("identity provider: %d users read", a.Listed)
	default:
		return fmt.Sprintf("look-ups: %d done, %d to do", a.LookedUp, a.Unsettled)
	}
}

func allOrphans(ctx context.Context, r *api.Client, id string, showIDs bool) ([]api.Orphan, error) {
	all := []api.Orphan{}
	for after := int64(0); ; {
		page, err := r.Orphans(ctx, id, after, showIDs)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Orphans...)
		if after = page.Next; after == 0 {
			return all, nil
		}
	}
}

func printOrphans(a api.OrphanAudit, findings []api.Orphan, showIDs bool) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tTABLE\tCOLUMN\tIDS\tROWS\tORPHANS\tERASED\tUNDER ERASURE\tRETAINED\tOTHER ISSUER")
	for _, c := range a.Columns {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n",
			c.Holder, c.Table, c.Column, c.IDs, c.Rows, c.Orphans, c.Erased, c.Erasing, c.Retained, c.Foreign)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nAudit %s: %s; the identity provider lists %d users, %d IDs were looked up alone.\n", a.ID, a.State, a.Listed, a.LookedUp)
	if len(findings) == 0 {
		return nil
	}
	fmt.Fprintln(table, "\nSERVICE\tFINDING\tUSER\tROWS")
	for _, f := range findings {
		user := f.UserHash
		if showIDs && f.UserID != "" {
			user = f.UserID
		}
		var rows int64
		for _, p := range f.Places {
			rows += p.Rows
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", f.Holder, f.Finding, user, rows)
	}
	return table.Flush()
}

type auditExportsCommand struct{ operatorFlags }

// Run prints a line per export and participant.
func (c *auditExportsCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	list, err := r.Exports(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tBY\tUSER\tPARTICIPANT\tROWS\tCOMPLETE")
	for _, e := range list.Exports {
		for _, a := range e.Answers {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%t\n", moment(&e.StartedAt), e.RequestedBy, e.UserHash, a.Participant, a.Rows, a.Complete)
		}
	}
	return table.Flush()
}
