package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/deadletters"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

type eventsCommand struct {
	List   eventsListCommand   `cmd:"" help:"List events, oldest first."`
	Replay eventsReplayCommand `cmd:"" help:"Publish events again; who has applied one drops it."`
	Dead   deadCommand         `cmd:"" help:"Messages that a consumer gave up."`

	Sources eventsSourcesCommand `cmd:"" help:"What each source of facts delivered, and what was refused for which reason."`
}

type eventsSourcesCommand struct {
	operatorFlags
}

// Run prints the counts as JSON.
func (c *eventsSourcesCommand) Run(ctx context.Context) error {
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	counted, err := r.Sources(ctx)
	if err != nil {
		return err
	}
	return printJSON(counted)
}

// sinceFlag is a time, or how long ago it was.
type sinceFlag string

func (s sinceFlag) time(now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(string(s)); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, string(s))
	if err != nil {
		return time.Time{}, fmt.Errorf("--since %q must be a time such as 2026-01-31T12:00:00Z or a duration such as 24h", string(s))
	}
	return at, nil
}

type eventsListCommand struct {
	operatorFlags
	Since sinceFlag `placeholder:"TIME" help:"Recorded since this time, or within this duration (24h)."`
	After int64     `help:"Only after this version."`
	Type  string    `help:"Only of this type."`
	JSON  bool      `help:"Whole events, one JSON object a line; they hold user IDs."`
}

// Run prints a line per event.
func (c *eventsListCommand) Run(ctx context.Context) error {
	since, err := c.Since.time(time.Now())
	if err != nil {
		return err
	}
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "VERSION\tTYPE\tRECORDED\tSOURCE\tPUBLISHED\tID")
	}
	filter := api.EventFilter{After: c.After, Since: since, Type: c.Type}
	for {
		page, err := r.Events(ctx, filter)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if c.JSON {
				if err := json.NewEncoder(os.Stdout).Encode(e); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%t\t%s\n", e.Version, e.Type, e.RecordedAt.UTC().Format(time.RFC3339), e.Source, e.Published, e.ID)
		}
		if page.Next == 0 {
			return table.Flush()
		}
		filter.After = page.Next
	}
}

type eventsReplayCommand struct {
	operatorFlags
	Since sinceFlag `required:"" placeholder:"TIME" help:"Recorded since this time, or within this duration (24h)."`
	Type  string    `help:"Only of this type."`
}

// Run replays batch after batch.
func (c *eventsReplayCommand) Run(ctx context.Context) error {
	since, err := c.Since.time(time.Now())
	if err != nil {
		return err
	}
	r, err := relay(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	request := api.ReplayRequest{Since: &since, Type: c.Type}
	var replayed, erased int
	for {
		batch, err := r.Replay(ctx, request)
		if err != nil {
			return errors.Join(err, fmt.Errorf("%d events were replayed before", replayed))
		}
		replayed, erased = replayed+batch.Replayed, erased+batch.Erased
		if batch.Next == 0 {
			break
		}
		request.After = batch.Next
	}
	fmt.Printf("%d events are on their way again; %d of erased users stay untold.\n", replayed, erased)
	return nil
}

type deadCommand struct {
	List    deadListCommand    `cmd:"" default:"withargs" help:"List dead letters: who gave up what, and why."`
	Show    deadShowCommand    `cmd:"" help:"One dead letter with the message that it points to."`
	Redrive deadRedriveCommand `cmd:"" help:"Hand messages to their consumers again; who has applied one drops it."`
}

// natsFlags say where NATS is. Without them the system that runs on this machine
// is meant.
type natsFlags struct {
	operatorFlags
	NATSURL      string `help:"nats:// or tls:// URL." env:"NATS_URL" name:"nats-url"`
	NKeySeedFile string `help:"The operator's NKey seed." env:"NATS_NKEY_SEED_FILE" name:"nkey-seed-file" type:"path"`
}

func (f *natsFlags) connect(ctx context.Context) (jetstream.JetStream, func(), error) {
	if f.NATSURL == "" {
		running, err := f.running(ctx)
		if err != nil {
			return nil, nil, err
		}
		f.NATSURL, f.NKeySeedFile = "nats://"+running.Ports.Address(devstack.NATS), running.SecretFile(streams.Operator+".nkey")
	}
	conn, js, err := natsconn.Connect(natsconn.Config{
		URL: f.NATSURL, NKeySeedFile: f.NKeySeedFile, CAFile: f.CAFile, Name: streams.Operator, Logger: slog.Default(),
	})
	if err != nil {
		return nil, nil, err
	}
	return js, conn.Close, nil
}

type deadListCommand struct {
	natsFlags
	Deleted bool `help:"Also those that were deleted before anybody gave them up, such as the events of erased users."`
}

const deadPage = 100

// Run prints a line per dead letter.
func (c *deadListCommand) Run(ctx context.Context) error {
	js, closeConn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NUMBER\tAT\tCONSUMER\tMESSAGE\tATTEMPTS\tCAUSE")
	hidden := 0
	for after := uint64(0); ; {
		letters, err := deadletters.List(ctx, js, after, deadPage)
		if err != nil {
			return err
		}
		for _, l := range letters {
			after = l.Number
			if l.Deleted && !c.Deleted {
				hidden++
				continue
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s:%d\t%d\t%s\n", l.Number, l.At.Format(time.RFC3339), l.Consumer, l.Stream, l.Sequence, l.Deliveries, l.Cause)
		}
		if len(letters) < deadPage {
			break
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if hidden > 0 {
		fmt.Printf("\n%d more were deleted before anybody gave them up: their users were erased, or they were too old; --deleted lists them.\n", hidden)
	}
	return nil
}

type deadShowCommand struct {
	natsFlags
	Number  uint64 `arg:"" help:"The letter's number, as in the list."`
	Payload bool   `help:"Also the message's payload, which may hold a user ID."`
}

// Run prints the letter and its message as JSON.
func (c *deadShowCommand) Run(ctx context.Context) error {
	js, closeConn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	letter, err := deadletters.Get(ctx, js, c.Number)
	if err != nil {
		return err
	}
	shown := struct {
		deadletters.Letter
		Message *deadletters.Message `json:"message,omitempty"`
		Payload string               `json:"payload,omitempty"`
		Gone    bool                 `json:"gone,omitempty"`
	}{Letter: letter}
	message, err := letter.Message(ctx, js)
	switch {
	case errors.Is(err, deadletters.ErrGone):
		shown.Gone = true
	case err != nil:
		return err
	default:
		shown.Message = &message
		if c.Payload {
			shown.Payload = string(message.Payload)
		}
	}
	return printJSON(shown)
}

type deadRedriveCommand struct {
	natsFlags
	Numbers []uint64 `arg:"" help:"The letters' numbers, as in the list."`
}

// Run redrives one letter after the other and goes on after a failure.
func (c *deadRedriveCommand) Run(ctx context.Context) error {
	js, closeConn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn()
	republish := func(ctx context.Context, eventID string) error {
		r, err := relay(ctx, &c.operatorFlags)
		if err != nil {
			return err
		}
		batch, err := r.Replay(ctx, api.ReplayRequest{ID: eventID})
		if err == nil && batch.Replayed == 0 {
			err = errors.New("the relay has this event no more, or its user was erased")
		}
		return err
	}
	var failures []error
	for _, number := range c.Numbers {
		letter, err := deadletters.Redrive(ctx, js, number, republish)
		if err != nil {
			failures = append(failures, fmt.Errorf("dead letter %d: %w", number, err))
			continue
		}
		fmt.Printf("Dead letter %d is on its way to %s again.\n", number, letter.Consumer)
	}
	return errors.Join(failures...)
}
