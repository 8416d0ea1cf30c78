package session

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// renewTimeout bounds one renewal, waiting for its turn included.
const renewTimeout = 15 * time.Second

// Renew replaces the tokens of a session by what fetch makes of them, once: a
// refresh token may be used a single time, and using it twice looks like theft
// to an identity provider that rotates them. Requests of one replica share a
// flight, replicas wait for each other on the row. Whoever comes second gets
// what the first one fetched. Errors: ErrNone, and fetch's.
func (s *Store) Renew(ctx context.Context, seen Session, fetch func(context.Context, Tokens) (Tokens, error)) (Session, error) {
	flight := s.flights.DoChan(string(seen.ID[:]), func() (any, error) {
		// The flight is shared: it must not end with the first one's request.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
		defer cancel()
		select {
		case s.renewing <- struct{}{}:
			defer func() { <-s.renewing }()
		case <-ctx.Done():
			return Session{}, fmt.Errorf("wait to renew a session: %w", ctx.Err())
		}
		return s.renew(ctx, seen, fetch)
	})
	select {
	case result := <-flight:
		renewed, _ := result.Val.(Session)
		return renewed, result.Err
	case <-ctx.Done():
		return Session{}, fmt.Errorf("wait for a renewal: %w", ctx.Err())
	}
}

func (s *Store) renew(ctx context.Context, seen Session, fetch func(context.Context, Tokens) (Tokens, error)) (Session, error) {
	var renewed Session
	err := pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		var err error
		if renewed, err = s.read(ctx, tx, seen.ID, "FOR UPDATE"); err != nil {
			return err
		}
		if renewed.Tokens.Access != seen.Tokens.Access {
			return nil
		}
		if renewed.Tokens, err = fetch(ctx, renewed.Tokens); err != nil {
			return err
		}
		sealed, err := s.seal(seen.ID, renewed.Tokens)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE sessions SET tokens = $2 WHERE id = $1`, seen.ID[:], sealed); err != nil {
			return fmt.Errorf("store renewed tokens: %w", err)
		}
		return nil
	})
	if err != nil {
		return Session{}, fmt.Errorf("renew a session: %w", err)
	}
	return renewed, nil
}
