package revocations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// Rebuild has every live row put into the bucket again and returns how many there
// are. The projectors see to it, a page at a time.
func (p *Projector) Rebuild(ctx context.Context) (rows int64, err error) {
	err = p.pool.QueryRow(ctx, `WITH asked AS (UPDATE projections SET rebuild_since = clock_timestamp() WHERE bucket = $1)
		SELECT count(*) FROM revocations WHERE NOT pending AND `+live, p.bucket).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("ask for the rows to be projected again: %w", err)
	}
	p.Wake()
	return rows, nil
}

// notice finds out whether a rebuild is under way, and begins one when the bucket
// is not the one that the rows were put into: another one under the same name, or
// one with fewer entries than there are live rows.
func (p *Projector) notice(ctx context.Context, kv jetstream.KeyValue) error {
	created, err := madeAt(ctx, kv)
	if err != nil {
		return err
	}
	var known time.Time
	var since *time.Time
	err = p.pool.QueryRow(ctx, `SELECT created_at, rebuild_since FROM projections WHERE bucket = $1`, p.bucket).Scan(&known, &since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read what is known of the bucket: %w", err)
	}
	lost := !known.Equal(created)
	if !lost && since == nil && time.Since(p.compared) >= compareEvery {
		p.compared = time.Now()
		if lost, err = p.incomplete(ctx); err != nil {
			return err
		}
	}
	if lost {
		if since, err = p.lost(ctx, created); err != nil {
			return err
		}
	}
	switch {
	case since == nil:
		p.rebuild = nil // another replica may have ended it
	case p.rebuild == nil || !p.rebuild.until.Equal(*since):
		p.rebuild = newSweep(*since, p.page)
	}
	return nil
}

func madeAt(ctx context.Context, kv jetstream.KeyValue) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the bucket: %w", err)
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return time.Time{}, errors.New("the bucket does not tell when it was made")
	}
	return bucket.StreamInfo().Created.UTC().Truncate(time.Microsecond), nil // what the column can hold
}

// incomplete compares the number of entries with that of the rows. The rows are
// counted first: what is projected in between is then in the bucket. Those about
// to run out are not counted, since the server's clock may be ahead.
func (p *Projector) incomplete(ctx context.Context) (bool, error) {
	var rows uint64
	err := p.pool.QueryRow(ctx, `SELECT count(*) FROM revocations
		WHERE NOT pending AND (expires_at IS NULL OR expires_at > now() + $1::interval)`, compareEvery).Scan(&rows)
	if err != nil {
		return false, fmt.Errorf("count live rows: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, "KV_"+p.bucket)
	if err != nil {
		return false, fmt.Errorf("look at the bucket: %w", err)
	}
	// Each replica of each service has a heartbeat in it, and so has each that is
	// gone until the bucket forgets it.
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("$KV."+p.bucket+"."+revocation.HeartbeatPrefix+">"))
	if err != nil {
		return false, fmt.Errorf("count the entries of the bucket: %w", err)
	}
	return info.State.Msgs < rows+uint64(len(info.State.Subjects)), nil
}

// lost begins a rebuild, unless another replica has begun it for the same bucket.
func (p *Projector) lost(ctx context.Context, created time.Time) (since *time.Time, err error) {
	var rows int64
	err = p.pool.QueryRow(ctx, `INSERT INTO projections AS p (bucket, created_at, rebuild_since) VALUES ($1, $2, clock_timestamp())
		ON CONFLICT (bucket) DO UPDATE SET created_at = excluded.created_at,
			rebuild_since = CASE WHEN p.created_at = excluded.created_at AND p.rebuild_since IS NOT NULL THEN p.rebuild_since ELSE clock_timestamp() END
		RETURNING rebuild_since, (SELECT count(*) FROM revocations WHERE NOT pending AND `+live+`)`, p.bucket, created).Scan(&since, &rows)
	if err != nil {
		return nil, fmt.Errorf("begin to rebuild the bucket: %w", err)
	}
	if rows > 0 {
		p.log.WarnContext(ctx, "the revocation bucket is new or incomplete, rebuilding it from the rows", "rows", rows)
	}
	return since, nil
}

// sweepOn marks the next page of what is to be projected again and reports
// whether more follows at once.
func (p *Projector) sweepOn(ctx context.Context) (more bool, err error) {
	if p.rebuild != nil {
		end, complete, err := p.rebuild.next(ctx, p.pool)
		if err != nil || !end {
			return err == nil, err
		}
		if complete {
			return false, p.rebuilt(ctx)
		}
		return false, nil // rows were locked: once more, after a pause
	}
	if p.renewal != nil {
		end, _, err := p.renewal.next(ctx, p.pool)
		if err != nil || !end {
			return err == nil, err
		}
		p.renewal, p.renewed = nil, time.Now() // what was locked waits for the next one
	}
	return false, nil
}

// rebuilt ends a rebuild: nothing is left to be marked. One that was asked for
// in the meantime stays.
func (p *Projector) rebuilt(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `UPDATE projections SET rebuild_since = NULL WHERE bucket = $1 AND rebuild_since = $2`, p.bucket, p.rebuild.until)
	if err != nil {
		return fmt.Errorf("note the end of the rebuild: %w", err)
	}
	if p.rebuild.marked > 0 {
		p.log.InfoContext(ctx, "the revocation bucket is rebuilt", "rows", p.rebuild.marked)
	}
	p.rebuild = nil
	return nil
}
