package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type clientsCommand struct {
	List     clientsListCommand     `cmd:"" default:"withargs" help:"List the clients."`
	Create   clientsCreateCommand   `cmd:"" help:"Register a client."`
	Show     clientsShowCommand     `cmd:"" help:"Print a client's registration."`
	Apply    clientsApplyCommand    `cmd:"" help:"Make the clients what a file says; again it changes nothing."`
	Block    clientsBlockCommand    `cmd:"" help:"Refuse a client from now on, with a reason that it can see."`
	Unblock  clientsUnblockCommand  `cmd:"" help:"Lift a client's block."`
	Upstream clientsUpstreamCommand `cmd:"" help:"Keep, try or forget a client's key at the upstream issuer (broker mode)."`
}

func admin(ctx context.Context, f *operatorFlags) (*api.Admin, error) {
	client, err := f.client(ctx, "token-exchange", api.AdminScope)
	if err != nil {
		return nil, err
	}
	return api.NewAdmin(f.TokenExchangeURL, client)
}

type clientsListCommand struct{ operatorFlags }

// Run prints a line per client.
func (c *clientsListCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	clients, err := a.Clients(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLIENT\tMAY CALL\tFRONT DOOR\tSTATE")
	for _, client := range clients {
		state := "active"
		if client.Blocked {
			state = "blocked: " + client.BlockReason
		}
		door := ""
		if client.FrontDoor {
			door = "for " + client.OIDCClientID
		}
		audiences := make([]string, 0, len(client.Audiences))
		for audience := range client.Audiences {
			audiences = append(audiences, audience)
		}
		slices.Sort(audiences)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", client.ID, strings.Join(audiences, ", "), door, state)
	}
	return table.Flush()
}

type clientsCreateCommand struct {
	operatorFlags
	ID       string   `arg:"" help:"The client's name: lower-case letters, digits and dashes."`
	Plan     string   `help:"The plan that bounds it; without one the defaults."`
	From     []string `help:"Networks (CIDR) that it calls from; without one any."`
	Audience []string `help:"A service that it may call, with its scopes: billing=billing:invoices:create" sep:"none"`
}

// Run registers the client; it has no key yet.
func (c *clientsCreateCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	spec := api.ClientSpec{ID: c.ID, Plan: c.Plan, AllowedAddresses: c.From, Audiences: map[string]api.Audience{}}
	for _, audience := range c.Audience {
		name, scopes, _ := strings.Cut(audience, "=")
		spec.Audiences[name] = api.Audience{Scopes: strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == ' ' })}
	}
	client, err := a.CreateClient(ctx, spec)
	if err != nil {
		return err
	}
	fmt.Printf("%s is registered. Give it a key: shadowless keys create %s\n", client.ID, client.ID)
	return nil
}

type clientsBlockCommand struct {
	operatorFlags
	ID     string `arg:"" help:"The client."`
	Reason string `arg:"" help:"Why; the client can see it."`
}

// Run blocks the client.
func (c *clientsBlockCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	blocked := true
	if _, err := a.ChangeClient(ctx, c.ID, api.ClientPatch{Blocked: &blocked, BlockReason: &c.Reason}); err != nil {
		return err
	}
	fmt.Printf("%s is blocked.\n", c.ID)
	return nil
}

type keysCommand struct {
	List     keysListCommand     `cmd:"" help:"List keys; never the keys themselves."`
	Create   keysCreateCommand   `cmd:"" help:"Make a key and print it, this once."`
	Rotate   keysRotateCommand   `cmd:"" help:"Make a key's successor and end the key after an overlap."`
	Import   keysImportCommand   `cmd:"" help:"Register a key that was generated elsewhere."`
	Revoke   keysRevokeCommand   `cmd:"" help:"End a key at once."`
	Status   keysStatusCommand   `cmd:"" help:"What has become of a key that one holds, and why its client is blocked."`
	GiveUp   keysGiveUpCommand   `cmd:"" help:"End a key that one holds, such as one that was found."`
	Generate keysGenerateCommand `cmd:"" help:"Make a key offline, for token-exchange to import (key_files)."`
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

type keysCreateCommand struct {
	operatorFlags
	Client  string        `arg:"" help:"The client."`
	Expires time.Duration `help:"How long the key lives; 0: until it is revoked."`
}

// Run prints the key to standard output and everything else to standard error,
// so that it can be redirected into a file.
func (c *keysCreateCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	want := api.NewKey{}
	if c.Expires > 0 {
		at := time.Now().Add(c.Expires)
		want.ExpiresAt = &at
	}
	key, err := a.CreateKey(ctx, c.Client, want)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Key %s of %s. It is shown this once:\n", key.ID, key.ClientID)
	fmt.Println(key.Secret)
	return nil
}

type keysRevokeCommand struct {
	operatorFlags
	Client string `arg:"" help:"The client."`
	Key    string `arg:"" help:"The key's ID, as in the list."`
}

// Run revokes the key.
func (c *keysRevokeCommand) Run(ctx context.Context) error {
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	if err := a.RevokeKey(ctx, c.Client, c.Key); err != nil {
		return err
	}
	fmt.Printf("Key %s of %s is revoked.\n", c.Key, c.Client)
	return nil
}

type keysGenerateCommand struct {
	Environment string `arg:"" help:"The environment that the key names, such as dev or live." default:"dev"`
}

// Run prints a new key.
func (c *keysGenerateCommand) Run() error {
	key, err := api.GenerateKey(c.Environment)
	if err != nil {
		return err
	}
	fmt.Println(key.Reveal())
	return nil
}
