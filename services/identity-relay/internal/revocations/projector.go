package revocations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

const (
	// heartbeat is also how often the rows are looked at without a wake-up.
	heartbeat = time.Second
	// batch is small enough that its puts end within putTimeout.
	batch      = 200
	putTimeout = 3 * time.Second
	// gather is what a batch waits for more after the one before: each costs a
	// transaction, and a thousand revocations a second are not a thousand of them.
	gather = 3 * time.Millisecond
	// renewAfter is when a block that still holds is put again: well before the
	// bucket forgets it.
	renewAfter = Lifetime / 2
	// compareEvery is how often all rows are looked at: whether the bucket has as
	// many entries, and which blocks it would soon forget.
	compareEvery = time.Minute
)

// Projector writes pending rows into the bucket and, once none is left, the
// relay's heartbeat: the heartbeat says that the bucket is up to date, or that it
// is being rebuilt and has everything that is new. Any number of replicas may run
// one.
type Projector struct {
	pool   *pgxpool.Pool
	js     jetstream.JetStream
	bucket string
	log    *slog.Logger
	wake   chan struct{}
	page   int

	// These belong to Run.
	kv        jetstream.KeyValue
	inspected time.Time
	compared  time.Time
	renewed   time.Time
	rebuild   *sweep // nil: none is under way
	renewal   *sweep
}

// NewProjector projects the rows of pool's database into the bucket.
func NewProjector(pool *pgxpool.Pool, js jetstream.JetStream, bucket string, log *slog.Logger) *Projector {
	return &Projector{pool: pool, js: js, bucket: bucket, log: log, wake: make(chan struct{}, 1), page: page}
}

// Wake makes the projector look at the rows now. It never blocks.
func (p *Projector) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run projects until ctx ends and returns nil.
func (p *Projector) Run(ctx context.Context) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	failing := false
	beatAt := time.Time{}
	for {
		more, err := p.project(ctx)
		if err == nil && time.Since(beatAt) >= heartbeat/2 {
			// Not on every wake-up: a thousand of them in a second are one heartbeat.
			if err = p.beat(ctx); err == nil {
				beatAt = time.Now()
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			p.log.WarnContext(ctx, "revocations cannot be projected, will retry", "cause", err)
		} else if err == nil && failing {
			p.log.InfoContext(ctx, "revocations are projected again")
		}
		failing = err != nil
		if more && !failing {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			if failing { // no tight loop on what is down
				select {
				case <-ctx.Done():
					return nil
				case <-ticker.C:
				}
			}
		case <-ticker.C:
		}
	}
}

func (p *Projector) beat(ctx context.Context) error {
	putting, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	if p.rebuild != nil {
		return revocation.BeatRebuilding(putting, p.kv, streams.RevokerHeartbeat)
	}
	return revocation.Beat(putting, p.kv, streams.RevokerHeartbeat)
}

// project puts what is pending into the bucket, with one page of what must be
// there again. It reports whether more follows at once.
func (p *Projector) project(ctx context.Context) (more bool, err error) {
	defer func() {
		if err != nil {
			p.kv = nil // look again at what is there
		}
	}()
	if p.kv == nil || time.Since(p.inspected) >= heartbeat {
		if err := p.inspect(ctx); err != nil {
			return false, err
		}
		p.inspected = time.Now()
	}
	if more, err = p.sweepOn(ctx); err != nil {
		return false, err
	}
	for {
		n, err := p.projectBatch(ctx, p.kv)
		if err != nil || n == 0 {
			return more, err
		}
		if n < batch {
			// All that was pending is in the bucket. Where something always is, this is
			// the moment for a heartbeat.
			pause(ctx, gather)
			return true, nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// inspect opens the bucket and finds out what must be put there again.
func (p *Projector) inspect(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	kv, err := p.js.KeyValue(opening, p.bucket)
	if err != nil {
		return fmt.Errorf("open the bucket: %w", err)
	}
	if err := p.notice(ctx, kv); err != nil {
		return err
	}
	if p.renewal == nil && time.Since(p.renewed) >= compareEvery {
		// Half a day lies between this and what the bucket forgets: any clock will do.
		p.renewal = newSweep(time.Now().Add(-renewAfter), p.page)
		p.renewal.blocks = true
	}
	p.kv = kv
	return nil
}

type row struct {
	Kind      string
	Key       []byte
	RevokedAt time.Time
	Lifted    bool
	ReadAt    time.Time // by the database's clock, which all replicas share
}

// A crash may forget that rows were put: they are put again, with the same effect.
// Nothing waits for the disk here.
var forgetful = pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL synchronous_commit = off"}

// projectBatch holds the rows' locks while it puts them, so that what is in the
// bucket never falls behind a newer row.
func (p *Projector) projectBatch(ctx context.Context, kv jetstream.KeyValue) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err = pgx.BeginTxFunc(ctx, p.pool, forgetful, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT kind, key, revoked_at, cardinality(causes) = 0, clock_timestamp() FROM revocations
			WHERE pending ORDER BY revoked_at LIMIT $1 FOR UPDATE SKIP LOCKED`, batch)
		if err != nil {
			return fmt.Errorf("read pending rows: %w", err)
		}
		pending, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return fmt.Errorf("read pending rows: %w", err)
		}
		n = len(pending)
		if n == 0 {
			return nil
		}
		names, keys, entries := make([]string, n), make([][]byte, n), make([]authn.Revocation, n)
		for i, r := range pending {
			names[i], keys[i] = r.Kind, r.Key
			if entries[i], err = r.entry(); err != nil {
				return err
			}
		}
		if err := revocation.Put(ctx, kv, entries...); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE revocations r SET pending = false, projected_at = now()
			FROM (SELECT unnest($1::text[]) AS kind, unnest($2::bytea[]) AS key) p
			WHERE r.kind = p.kind AND r.key = p.key`, names, keys)
		if err != nil {
			return fmt.Errorf("mark projected rows: %w", err)
		}
		return nil
	})
	return n, err
}

func (r row) entry() (authn.Revocation, error) {
	kind, ok := KindOf(r.Kind)
	if !ok {
		return authn.Revocation{}, errors.New("a row of an unknown kind")
	}
	entry := authn.Revocation{Kind: kind, Key: authn.RevocationKey(r.Key), Before: r.RevokedAt, Lifted: r.Lifted}
	if kind == authn.BlockedUser {
		// A block has no T: the bucket keeps the later of two entries, and this is
		// the later one whoever's clock decided it.
		entry.Before = r.ReadAt
	}
	return entry, nil
}
