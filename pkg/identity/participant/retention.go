package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// retentionPage is how many owners of rows are looked at together.
const retentionPage = 500

const unlockTimeout = 5 * time.Second

// endRetentions erases what an erasure had to keep, once its time is over. It
// works until ctx ends and returns nil.
func (p *Participant) endRetentions(ctx context.Context, endings []ending) error {
	ticker := time.NewTicker(p.config.RetentionInterval)
	defer ticker.Stop()
	for {
		if err := p.endDue(ctx, endings); err != nil && ctx.Err() == nil {
			p.config.Logger.WarnContext(ctx, "rows whose retention has ended were not all erased, will retry", "cause", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// endDue does one pass, unless another replica is at it.
func (p *Participant) endDue(ctx context.Context, endings []ending) error {
	release, mine, err := p.lead(ctx)
	if err != nil || !mine {
		return err
	}
	defer release()
	var failed []error
	for _, e := range endings {
		for after := ""; ; {
			owners, err := p.owners(ctx, e, after)
			if err != nil {
				return errors.Join(append(failed, err)...)
			}
			if len(owners) == 0 {
				break
			}
			after = owners[len(owners)-1]
			erased, err := p.tombstones.erased(ctx, p.config.Pool, owners)
			if err != nil {
				return errors.Join(append(failed, err)...)
			}
			for i, userID := range owners {
				if erased[i] {
					// One who cannot be erased must not keep the others waiting.
					failed = append(failed, p.endRetention(ctx, userID, endings))
				}
			}
		}
	}
	return errors.Join(failed...)
}

// lead takes a lock that one replica holds at a time. It goes with its
// connection, so a replica that dies holds nobody up.
func (p *Participant) lead(ctx context.Context) (release func(), mine bool, err error) {
	conn, err := p.config.Pool.Acquire(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("connect: %w", err)
	}
	key := lockID("retention of " + p.config.Name)
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&mine); err != nil || !mine {
		conn.Release()
		if err != nil {
			err = fmt.Errorf("lock the retention: %w", err)
		}
		return nil, false, err
	}
	return func() { unlock(ctx, conn, key) }, true, nil
}

func unlock(ctx context.Context, conn *pgxpool.Conn, key int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, key); err != nil {
		_ = conn.Conn().Close(ctx) // the lock goes with it
	}
	conn.Release()
}

func (p *Participant) owners(ctx context.Context, e ending, after string) ([]string, error) {
	rows, err := p.config.Pool.Query(ctx, e.owners, after, retentionPage)
	if err != nil {
		return nil, fmt.Errorf("look for the end of retention in %s.%s: %w", e.table, e.column.Name, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for the end of retention in %s.%s: %w", e.table, e.column.Name, err)
	}
	return ids, nil
}

// endRetention erases in one transaction what is over of one erased user, counts
// again and tells the relay.
func (p *Participant) endRetention(ctx context.Context, userID string, endings []ending) error {
	err := pgx.BeginTxFunc(ctx, p.config.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lockID(userID)); err != nil {
			return fmt.Errorf("lock the user: %w", err)
		}
		var erasureID string
		var answeredAt *time.Time
		err := tx.QueryRow(ctx, `SELECT t.erasure_id, r.created_at FROM participant_tombstones t
			LEFT JOIN participant_receipts r ON r.erasure_id = t.erasure_id
			WHERE t.hash = ANY($1) AND NOT t.lifted AND NOT t.held LIMIT 1 FOR SHARE OF t`, p.tombstones.hashes(userID)).Scan(&erasureID, &answeredAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // readmitted in the meantime, or under a legal hold
		}
		if err != nil {
			return fmt.Errorf("look for the tombstone: %w", err)
		}
		receipt := Receipt{
			Kind: KindRetentionEnded, ErasureID: erasureID, Participant: p.config.Name, Manifest: p.config.Manifest.sum,
			At: time.Now().UTC().Truncate(time.Microsecond),
		}
		pseudonym := pseudonymPrefix + uuid.NewString()
		for _, e := range endings {
			if e.column.Since == "" && (answeredAt == nil || e.column.Retention.After(*answeredAt).After(receipt.At)) {
				continue
			}
			result, err := e.end(ctx, tx, userID, pseudonym)
			if err != nil {
				return err
			}
			if result.Rows > 0 {
				receipt.Columns = append(receipt.Columns, result)
			}
		}
		if len(receipt.Columns) == 0 {
			return nil
		}
		return p.tellEnd(ctx, tx, receipt)
	})
	if err != nil {
		return fmt.Errorf("end a retention: %w", err)
	}
	p.publisher.Wake()
	return nil
}

func (e ending) end(ctx context.Context, tx pgx.Tx, userID, pseudonym string) (ColumnResult, error) {
	r := ColumnResult{Table: e.table, Column: e.column.Name, Disposition: e.column.then(), LegalReason: e.column.LegalReason}
	args := []any{userID}
	if e.column.Then == Pseudonymise {
		args = append(args, pseudonym)
	}
	tag, err := tx.Exec(ctx, e.change, args...)
	if err != nil {
		return r, fmt.Errorf("%s %s.%s: %w", r.Disposition, e.table, e.column.Name, err)
	}
	r.Rows = tag.RowsAffected()
	var left int64
	var until *time.Time
	if err := tx.QueryRow(ctx, e.count, userID).Scan(&left, &r.Remaining, &until); err != nil {
		return r, fmt.Errorf("count %s.%s: %w", e.table, e.column.Name, err)
	}
	if left != 0 {
		return r, fmt.Errorf("%s.%s: %d rows are left after %s", e.table, e.column.Name, left, r.Disposition)
	}
	if until != nil {
		end := until.UTC()
		r.RetainedUntil = &end
	}
	return r, nil
}

func (p *Participant) tellEnd(ctx context.Context, tx pgx.Tx, receipt Receipt) error {
	raw, err := json.Marshal(receipt)
	if err != nil {
		return fmt.Errorf("encode receipt: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO participant_retention_receipts (message_id, erasure_id, receipt) VALUES ($1, $2, $3)`,
		p.messageID(raw), receipt.ErasureID, string(raw))
	if err != nil {
		return fmt.Errorf("keep the receipt: %w", err)
	}
	return p.send(ctx, tx, raw)
}
