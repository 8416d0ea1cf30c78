package revocations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
)

const live = `(expires_at IS NULL OR expires_at > now())`

// Rebuild makes every live row pending again and returns how many there are.
func (p *Projector) Rebuild(ctx context.Context) (int64, error) {
	tag, err := p.pool.Exec(ctx, `UPDATE revocations SET pending = true WHERE NOT pending AND `+live)
	if err != nil {
		return 0, fmt.Errorf("mark rows to be projected again: %w", err)
	}
	p.Wake()
	return tag.RowsAffected(), nil
}

// notice rebuilds when the bucket is not the one that the rows were put into:
// another one under the same name, or one with fewer entries than there are
// live rows.
func (p *Projector) notice(ctx context.Context, kv jetstream.KeyValue) error {
	status, err := kv.Status(ctx)
	if err != nil {
		return fmt.Errorf("look at the bucket: %w", err)
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return errors.New("the bucket does not tell when it was made")
	}
	info := bucket.StreamInfo()
	created := info.Created.UTC().Truncate(time.Microsecond) // what the column can hold
	var known time.Time
	err = p.pool.QueryRow(ctx, `SELECT created_at FROM projections WHERE bucket = $1`, p.bucket).Scan(&known)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read what is known of the bucket: %w", err)
	}
	lost := !known.Equal(created)
	if !lost && time.Since(p.compared) >= compareEvery {
		p.compared = time.Now()
		var rows uint64
		if err := p.pool.QueryRow(ctx, `SELECT count(*) FROM revocations WHERE NOT pending AND `+live).Scan(&rows); err != nil {
			return fmt.Errorf("count live rows: %w", err)
		}
		lost = info.State.Msgs < rows
	}
	if !lost {
		return nil
	}
	n, err := p.Rebuild(ctx)
	if err != nil {
		return err
	}
	// Only now: a crash in between rebuilds once more.
	_, err = p.pool.Exec(ctx, `INSERT INTO projections (bucket, created_at) VALUES ($1, $2)
		ON CONFLICT (bucket) DO UPDATE SET created_at = excluded.created_at`, p.bucket, created)
	if err != nil {
		return fmt.Errorf("remember the bucket: %w", err)
	}
	if n > 0 {
		p.log.WarnContext(ctx, "the revocation bucket is new or incomplete, rebuilding it from the rows", "rows", n)
	}
	return nil
}

// Prune removes rows that nothing needs any more.
func Prune(ctx context.Context, db Execer) error {
	if _, err := db.Exec(ctx, `DELETE FROM revocations WHERE expires_at < now() AND NOT pending`); err != nil {
		return fmt.Errorf("prune revocations: %w", err)
	}
	return nil
}
