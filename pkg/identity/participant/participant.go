package participant

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// Migrations holds the goose migrations of the tombstones and receipts in the
// folder "migrations". The tables carry the prefix participant_.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// DefaultStream is the stream that carries the identity events.
const DefaultStream = "IDENTITY"

// defaultRetentionInterval is between two looks for rows whose retention has ended.
const defaultRetentionInterval = time.Hour

// prepareInterval is how often an unreachable database is tried at the start.
const prepareInterval = time.Second

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// Config describes a participant. Name, Manifest, Pool, JetStream and one of
// Tombstones and TombstoneKeyFile are required.
type Config struct {
	// Name is the service's name in the registry of participants.
	Name string
	// Manifest is the service's disposition manifest.
	Manifest *Manifest
	// Pool reaches the service's database with a role that may erase: with
	// row-level security, the one that has a policy for it.
	Pool *pgxpool.Pool
	// JetStream reaches the identity events.
	JetStream jetstream.JetStream
	// TombstoneKeyFile is read by LoadTombstones unless Tombstones is set.
	TombstoneKeyFile string
	// Tombstones are shared with the service's own writes.
	Tombstones *Tombstones
	// Stream of the identity events. Default: DefaultStream.
	Stream string
	// Durable consumer of identity.v1.erasure.>. Default: <Name>-erasures.
	Durable string
	// Publisher of the service's outbox, woken after each erasure. If nil, the
	// participant runs one of its own.
	Publisher *mailbox.Publisher
	// OnErase, if set, runs inside the erasure's transaction, after the
	// manifest, for data that is not in a column: a cache, a session in memory.
	OnErase func(ctx context.Context, tx pgx.Tx, userID string) error
	// RetentionInterval is the time between two looks for rows of erased users
	// whose retention has ended; the first is taken at the start. Default: an hour.
	RetentionInterval time.Duration
	// Logger takes failures. Default: slog.Default().
	Logger *slog.Logger
}

// Participant answers erasures for one service.
type Participant struct {
	config     Config
	tombstones *Tombstones
	publisher  *mailbox.Publisher
}

// New checks the configuration, reports every fault at once and reads the key file.
// It reaches for neither PostgreSQL nor NATS.
func New(config Config) (*Participant, error) {
	var faults []error
	if !namePattern.MatchString(config.Name) {
		faults = append(faults, errors.New("name must be lower-case letters, digits and dashes"))
	}
	if config.Manifest == nil || config.Manifest.sum == "" {
		faults = append(faults, errors.New("manifest must come from ParseManifest"))
	}
	if config.Pool == nil || config.JetStream == nil {
		faults = append(faults, errors.New("pool and JetStream must be set"))
	}
	tombstones := config.Tombstones
	if tombstones == nil {
		loaded, err := LoadTombstones(config.TombstoneKeyFile)
		if err != nil {
			faults = append(faults, err)
		}
		tombstones = loaded
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("configure participant: %w", errors.Join(faults...))
	}
	if config.Stream == "" {
		config.Stream = DefaultStream
	}
	if config.Durable == "" {
		config.Durable = config.Name + "-erasures"
	}
	if config.RetentionInterval <= 0 {
		config.RetentionInterval = defaultRetentionInterval
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	p := &Participant{config: config, tombstones: tombstones, publisher: config.Publisher}
	if p.publisher == nil {
		p.publisher = mailbox.NewPublisher(config.Pool, config.JetStream, mailbox.PublisherOptions{Logger: config.Logger})
	}
	return p, nil
}

// Tombstones returns what the service's writes must ask before they write.
func (p *Participant) Tombstones() *Tombstones { return p.tombstones }

// Run validates the manifest against the live database, then answers erasures
// and erases what retention no longer keeps until ctx ends, when it returns nil.
// A manifest that does not fit the database is an error that wraps
// [ErrManifest]; outages are waited out.
func (p *Participant) Run(ctx context.Context) error {
	steps, endings, err := p.prepare(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to stop before it had begun
	}
	if err != nil {
		return fmt.Errorf("run participant %s: %w", p.config.Name, err)
	}
	consumer, err := mailbox.NewConsumer(p.config.JetStream, p.config.Pool, mailbox.ConsumerConfig{
		Stream: p.config.Stream, Durable: p.config.Durable, Logger: p.config.Logger, OnCommit: p.publisher.Wake,
		Handler: func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error { return p.handle(ctx, tx, m, steps) },
	})
	if err != nil {
		return fmt.Errorf("run participant %s: %w", p.config.Name, err)
	}
	work := []func(context.Context) error{consumer.Run}
	if p.config.Publisher == nil {
		work = append(work, p.publisher.Run)
	}
	if len(endings) > 0 {
		work = append(work, func(ctx context.Context) error { return p.endRetentions(ctx, endings) })
	}
	return together(ctx, work)
}

// together runs all until ctx ends; whichever fails ends the others.
func together(ctx context.Context, work []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(work))
	for _, fn := range work {
		go func() {
			defer cancel()
			ended <- fn(ctx)
		}()
	}
	var failed []error
	for range work {
		failed = append(failed, <-ended)
	}
	return errors.Join(failed...)
}

// prepare fits the manifest to the live database, for as long as that takes.
func (p *Participant) prepare(ctx context.Context) ([]step, []ending, error) {
	for {
		var endings []ending
		steps, err := p.config.Manifest.steps(ctx, p.config.Pool)
		if err == nil {
			endings, err = p.config.Manifest.endings(ctx, p.config.Pool)
		}
		if err == nil || errors.Is(err, ErrManifest) || ctx.Err() != nil {
			return steps, endings, err
		}
		p.config.Logger.WarnContext(ctx, "manifest could not be validated yet", "cause", err.Error())
		timer := time.NewTimer(prepareInterval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
