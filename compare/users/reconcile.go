package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Source is the provider's list of users.
type Source interface {
	// Each reads the whole list; an error means that it is not complete.
	Each(ctx context.Context, fn func([]Profile) error) error
	// Lookup asks about one; found is false only if the provider said so.
	Lookup(ctx context.Context, userID string) (p Profile, found bool, err error)
}

// ErrShrunk stops a reconciliation before it deletes: a list of less than half
// of the users that are known here is rather a fault than a fact.
var ErrShrunk = errors.New("the provider's list has shrunk suspiciously")

// localPage is how many rows are compared at once.
const localPage = 1000

// Result counts what a reconciliation found.
type Result struct {
	Listed  int // users at the provider
	Changed int // rows that were made or corrected
	Deleted int // rows whose user is gone
}

// Reconciler compares the table with the provider's list: what webhooks lost,
// it finds.
type Reconciler struct {
	table  *Table
	source Source
}

// NewReconciler makes one for the database of pool.
func NewReconciler(pool *pgxpool.Pool, source Source, o Options) *Reconciler {
	return NewTable(pool, o).Reconciler(source)
}

// Reconciler compares this table.
func (t *Table) Reconciler(source Source) *Reconciler { return &Reconciler{table: t, source: source} }

// Once reconciles. A row is deleted only if the whole list was read, the row is
// older than the list, and a look-up says that there is no such user.
func (r *Reconciler) Once(ctx context.Context) (Result, error) {
	var result Result
	var started time.Time
	var before int
	if err := r.table.pool.QueryRow(ctx, `SELECT clock_timestamp(), count(*) FROM users`).Scan(&started, &before); err != nil {
		return result, fmt.Errorf("count the users: %w", err)
	}
	listed := map[string]struct{}{}
	err := r.source.Each(ctx, func(profiles []Profile) error {
		for _, p := range profiles {
			listed[p.ID] = struct{}{}
		}
		changed, err := r.correct(ctx, profiles)
		result.Changed += changed
		return err
	})
	if result.Listed = len(listed); err != nil {
		return result, fmt.Errorf("read the provider's list: %w", err)
	}
	if len(listed) < before/2 {
		return result, ErrShrunk
	}
	for after := ""; ; {
		ids, err := r.known(ctx, started, after)
		if err != nil {
			return result, err
		}
		for _, id := range ids {
			if _, there := listed[id]; there {
				continue
			}
			gone, err := r.remove(ctx, id)
			if err != nil {
				return result, err
			}
			if gone {
				result.Deleted++
			}
		}
		if len(ids) < localPage {
			return result, nil
		}
		after = ids[len(ids)-1]
	}
}

// correct writes those of a page that differ; mostly none does.
func (r *Reconciler) correct(ctx context.Context, profiles []Profile) (changed int, err error) {
	ids := make([]string, len(profiles))
	for n, p := range profiles {
		ids[n] = p.ID
	}
	rows, err := r.table.pool.Query(ctx, `SELECT id, name, email, avatar_url, banned, updated_at FROM users WHERE id = ANY($1)`, ids)
	if err != nil {
		return 0, fmt.Errorf("read users: %w", err)
	}
	here := make(map[string]Profile, len(profiles))
	var p Profile
	var name, email, avatar string
	var banned bool
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &name, &email, &avatar, &banned, &p.UpdatedAt}, func() error {
		here[p.ID] = Profile{ID: p.ID, Name: new(name), Email: new(email), AvatarURL: new(avatar), Banned: new(banned), UpdatedAt: p.UpdatedAt}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read users: %w", err)
	}
	for _, p := range profiles {
		if row, known := here[p.ID]; known && row.agrees(p) {
			continue
		}
		ok, err := r.table.change(ctx, r.table.pool, p)
		if err != nil {
			return changed, err
		}
		if ok {
			changed++
		}
	}
	return changed, nil
}

// agrees reports whether nothing that the provider says differs from the row.
func (p Profile) agrees(said Profile) bool {
	return same(p.Name, said.Name) && same(p.Email, said.Email) && same(p.AvatarURL, said.AvatarURL) && same(p.Banned, said.Banned)
}

func same[T comparable](row, said *T) bool { return said == nil || *row == *said }

func (r *Reconciler) known(ctx context.Context, before time.Time, after string) ([]string, error) {
	rows, err := r.table.pool.Query(ctx, `SELECT id FROM users WHERE created_at < $1 AND id > $2 ORDER BY id LIMIT $3`, before, after, localPage)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return ids, nil
}

func (r *Reconciler) remove(ctx context.Context, userID string) (gone bool, err error) {
	_, found, err := r.source.Lookup(ctx, userID)
	if err != nil || found {
		return false, err
	}
	err = pgx.BeginFunc(ctx, r.table.pool, func(tx pgx.Tx) error {
		gone, err = r.table.Delete(ctx, tx, userID)
		return err
	})
	return gone, err
}

// Run reconciles at each tick until ctx ends. A run that fails is repeated by
// the next; the first waits for a tick, because a restart is no reason.
func (r *Reconciler) Run(ctx context.Context, every time.Duration, log *slog.Logger) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		result, err := r.Once(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			log.ErrorContext(ctx, "the reconciliation failed", "error", err)
		default:
			log.InfoContext(ctx, "users reconciled", "listed", result.Listed, "changed", result.Changed, "deleted", result.Deleted)
		}
	}
}
