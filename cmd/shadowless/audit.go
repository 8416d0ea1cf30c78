package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type auditCommand struct {
	Exchanges auditExchangesCommand `cmd:"" help:"Attempts to get a token at token-exchange, newest first."`
	Refusals  auditRefusalsCommand  `cmd:"" help:"Attempts that proved no key or were over a limit, counted."`
	Changes   auditChangesCommand   `cmd:"" help:"What was changed about clients and keys, and by whom."`

	Orphans auditOrphansCommand `cmd:"" help:"User IDs that services hold and the identity provider does not know."`
	Exports auditExportsCommand `cmd:"" help:"Who exported whose data, and what each participant delivered."`
}

type auditFlags struct {
	operatorFlags
	Client  string        `help:"Of this client alone."`
	Key     string        `help:"Of this key ID alone."`
	Address string        `help:"From this address alone."`
	Reason  string        `help:"With this reason alone."`
	Since   time.Duration `help:"How far back." default:"24h"`
	Limit   int           `help:"How many lines at most." default:"100"`
}

func (f *auditFlags) query() api.AuditQuery {
	return api.AuditQuery{
		ClientID: f.Client, KeyID: f.Key, Address: f.Address, Reason: f.Reason, Since: time.Now().Add(-f.Since), Limit: f.Limit,
	}
}

type auditExchangesCommand struct {
	auditFlags
	User    string `help:"About this user ID alone."`
	Token   string `help:"Of the token with this SHA-256 (hex) alone."`
	Refused bool   `help:"Refused ones alone."`
}

// Run prints a line per attempt.
func (c *auditExchangesCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	q := c.query()
	q.UserID, q.Token = c.User, c.Token
	if c.Refused {
		granted := false
		q.Granted = &granted
	}
	list, err := a.Exchanges(ctx, q)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tCLIENT\tKEY\tGRANT\tRESULT\tAUDIENCE\tADDRESS\tTOKEN")
	for _, e := range list.Exchanges {
		result := "granted"
		if !e.Granted {
			result = e.Reason
		}
		grant := e.GrantType[strings.LastIndexByte(e.GrantType, ':')+1:]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", moment(&e.At), e.ClientID, e.KeyID, grant, result, strings.Join(e.Audience, ","), e.Address, e.TokenID)
	}
	return table.Flush()
}

type auditRefusalsCommand struct{ auditFlags }

// Run prints a line per minute, address and reason.
func (c *auditRefusalsCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	list, err := a.Refusals(ctx, c.query())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MINUTE\tADDRESS\tREASON\tKEY\tCOUNT")
	for _, r := range list.Refusals {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\n", moment(&r.Minute), r.Address, r.Reason, r.KeyID, r.Count)
	}
	return table.Flush()
}

type auditChangesCommand struct{ auditFlags }

// Run prints a line per change.
func (c *auditChangesCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	list, err := a.Changes(ctx, c.query())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tBY\tWHAT\tCLIENT\tKEY")
	for _, change := range list.Changes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", moment(&change.At), change.Actor, change.Action, change.ClientID, change.KeyID)
	}
	return table.Flush()
}
