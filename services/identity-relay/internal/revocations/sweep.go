package revocations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// page is how many rows a sweep looks at in one statement: what is projected after
// each of them is in the bucket within seconds, and so is a new revocation that
// waits behind it.
const page = 5_000

// sweep makes rows pending again that were projected until some time. It goes over
// them in the order of their keys, a page at a time, so that it takes no longer
// over many rows than a statement may, and so that others have their turn.
type sweep struct {
	until  time.Time // by the database's clock
	blocks bool      // only blocks that hold
	page   int

	kind    string
	key     []byte
	skipped bool
	marked  int64
}

func newSweep(until time.Time, page int) *sweep {
	return &sweep{until: until, page: page, key: []byte{}}
}

const (
	live     = `(expires_at IS NULL OR expires_at > now())`
	blocking = `kind = 'block' AND cardinality(causes) > 0`
)

// next marks one page and reports whether it was the last one, and whether the
// sweep missed nothing. It waits for no lock: a transaction may hold several rows
// and take them in another order. Who holds a row may leave it as it was, so a
// sweep that passed over one begins again.
func (s *sweep) next(ctx context.Context, pool *pgxpool.Pool) (end, complete bool, err error) {
	rows := live
	if s.blocks {
		rows = blocking
	}
	var due, marked int64
	err = pool.QueryRow(ctx, `WITH page AS MATERIALIZED (
			SELECT kind, key, NOT pending AND coalesce(projected_at, '-infinity') <= $3 AS due FROM revocations
				WHERE (kind, key) > ($1, $2) AND `+rows+` ORDER BY kind, key LIMIT $4),
		taken AS (SELECT r.kind, r.key FROM revocations r JOIN page USING (kind, key)
				WHERE page.due AND NOT r.pending FOR UPDATE OF r SKIP LOCKED),
		marked AS (UPDATE revocations r SET pending = true FROM taken t WHERE r.kind = t.kind AND r.key = t.key RETURNING 1)
		SELECT kind, key, (SELECT count(*) FROM page WHERE due), (SELECT count(*) FROM marked)
			FROM page ORDER BY kind DESC, key DESC LIMIT 1`,
		s.kind, s.key, s.until, s.page).Scan(&s.kind, &s.key, &due, &marked)
	if errors.Is(err, pgx.ErrNoRows) {
		complete = !s.skipped
		s.kind, s.key, s.skipped = "", []byte{}, false
		return true, complete, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("mark rows to be projected again: %w", err)
	}
	s.skipped = s.skipped || marked < due
	s.marked += marked
	return false, false, nil
}
