package erasures

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Participant is a service that must answer erasures.
type Participant struct {
	Name string
	// Since is from when on it must answer; zero means from when the registry
	// first heard of it.
	Since time.Time
}

// Register makes the registry say what the configuration says. Whoever is
// missing there is retired and is not asked again; erasures that it has not
// answered stay open, because nobody else can answer for it.
func Register(ctx context.Context, pool *pgxpool.Pool, participants []Participant) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		names := []string{Self}
		for _, p := range append([]Participant{{Name: Self}}, participants...) {
			names = append(names, p.Name)
			var since *time.Time
			if !p.Since.IsZero() {
				since = &p.Since
			}
			_, err := tx.Exec(ctx, `INSERT INTO participants (name, since) VALUES ($1, coalesce($2, now()))
				ON CONFLICT (name) DO UPDATE SET since = coalesce($2, participants.since), retired_at = NULL`, p.Name, since)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE participants SET retired_at = now() WHERE retired_at IS NULL AND NOT name = ANY($1)`, names)
		return err
	})
	if err != nil {
		return fmt.Errorf("register participants: %w", err)
	}
	return nil
}
