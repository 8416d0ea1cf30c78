// Command shadowless runs the system on one machine, shows what it does, and
// operates it anywhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the whole command line.
type commands struct {
	Up         upCommand         `cmd:"" help:"Run everything on this machine until Ctrl-C."`
	Demo       demoCommand       `cmd:"" help:"Walk the golden journey, step by step, against the running system or one of its own."`
	Clients    clientsCommand    `cmd:"" help:"Services that are registered at token-exchange."`
	Keys       keysCommand       `cmd:"" help:"API keys of a client."`
	Signing    signingCommand    `cmd:"" help:"Keys that token-exchange signs with."`
	SecretKeys secretKeysCommand `cmd:"" help:"Keys in the files of token-exchange: of hashes and of encryption."`
	Tokens     tokensCommand     `cmd:"" help:"Tokens that clients hold."`
	Audit      auditCommand      `cmd:"" help:"Who asked token-exchange for what, who changed what, and whom nobody knows."`

	Erasures  erasuresCommand  `cmd:"" help:"Deletions: who has answered, and what was kept."`
	Events    eventsCommand    `cmd:"" help:"Identity events: the log, replays, and what a consumer gave up."`
	Revoke    revokeCommand    `cmd:"" help:"Cut off a user, session, token or client at once."`
	Reconcile reconcileCommand `cmd:"" help:"Compare the participants' user IDs with the IdP's list now."`
	Export    exportCommand    `cmd:"" help:"Everything that is held under a user ID, from every participant, as one JSON document."`
	Rekey     rekeyCommand     `cmd:"" help:"Give a user another ID everywhere: the identity provider was migrated, or two accounts became one."`
	Rekeyings rekeyingsCommand `cmd:"" help:"Users who got another ID: who has answered, and what was done."`
	Scan      scanCommand      `cmd:"" help:"Look for a user ID in every database, stream and bucket of this machine's system."`
	Doctor    doctorCommand    `cmd:"" help:"Examine a running system from outside: send what must be refused."`

	Compare     compareCommand     `cmd:"" help:"Measure federated IDs beside a shadow table of users on this machine, and write a report."`
	ComparePart comparePartCommand `cmd:"" name:"compare-part" hidden:""`

	Streams streamsCommand `cmd:"" help:"What lives in NATS."`
	Env     envCommand     `cmd:"" help:"Print the environment of one service, to run its own command against this machine's system."`
	K8s     k8sCommand     `cmd:"" name:"k8s" help:"What a cluster needs beside the manifests."`
	Images  imagesCommand  `cmd:"" help:"Build the container images, without Docker."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{}, kong.Name("shadowless"),
		kong.Description("Microservices that share one identity provider and keep no users table."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)))
	err := parsed.Run()
	if errors.Is(err, context.Canceled) || err != nil && errors.Is(err, context.Cause(ctx)) {
		err = errors.New("interrupted") // what it broke off is no news
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shadowless:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
