package session

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/console/internal/seal"
)

// Migrations holds the goose migrations of the sessions in the folder "migrations".
//
//go:embed migrations/*.sql
var Migrations embed.FS

// touchEvery bounds how often a use of a session is written down.
const touchEvery = time.Minute

// StoreConfig is everything a Store needs; Now nil is time.Now.
type StoreConfig struct {
	Pool       *pgxpool.Pool
	Box        *seal.Box
	Tombstones *participant.Tombstones
	Lifetime   time.Duration // absolute
	Idle       time.Duration
	Now        func() time.Time
}

// Store keeps sessions. It is safe for concurrent use.
type Store struct {
	StoreConfig
	flights  singleflight.Group
	renewing chan struct{}
}

// NewStore makes a Store.
func NewStore(cfg StoreConfig) *Store {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// A renewal holds a connection while the identity provider answers: half of
	// the pool stays for everybody else when that is slow.
	atOnce := max(1, cfg.Pool.Config().MaxConns/2)
	return &Store{StoreConfig: cfg, renewing: make(chan struct{}, atOnce)}
}

// Create starts a session under a new random value, which it returns for the
// cookie. It ends by itself at notAfter, if that is before the lifetime's end.
// Error: participant.ErrErased for a user who was erased.
func (s *Store) Create(ctx context.Context, userID string, tokens Tokens, notAfter time.Time) (cookie string, err error) {
	cookie = newSecret()
	id, err := idOf(cookie)
	if err != nil {
		return "", err
	}
	sealed, err := s.seal(id, tokens)
	if err != nil {
		return "", err
	}
	now := s.Now().UTC()
	end := now.Add(s.Lifetime)
	if !notAfter.IsZero() && notAfter.Before(end) {
		end = notAfter
	}
	err = pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := s.Tombstones.Refuse(ctx, tx, userID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO sessions (id, user_id, tokens, created_at, seen_at, expires_at)
			VALUES ($1, $2, $3, $4, $4, $5)`, id[:], userID, sealed, now, end)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("create a session: %w", err)
	}
	return cookie, nil
}

// Get finds the session of a cookie and notes that it was used. Errors:
// ErrNone, and ErrIdle or ErrExpired for one that it ended just now.
func (s *Store) Get(ctx context.Context, cookie string) (Session, error) {
	id, err := idOf(cookie)
	if err != nil {
		return Session{}, err
	}
	found, err := s.read(ctx, s.Pool, id, "")
	if err != nil {
		return Session{}, err
	}
	now := s.Now()
	switch {
	case !now.Before(found.ExpiresAt):
		return Session{}, errors.Join(ErrExpired, s.Delete(ctx, id))
	case now.Sub(found.SeenAt) > s.Idle:
		return Session{}, errors.Join(ErrIdle, s.Delete(ctx, id))
	case now.Sub(found.SeenAt) > min(touchEvery, s.Idle/4):
		if _, err := s.Pool.Exec(ctx, `UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2`, id[:], now); err != nil {
			return Session{}, fmt.Errorf("note a session's use: %w", err)
		}
	}
	return found, nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// read finds a row; lock is "" or a locking clause.
func (s *Store) read(ctx context.Context, q querier, id ID, lock string) (Session, error) {
	found := Session{ID: id}
	var sealed []byte
	err := q.QueryRow(ctx, `SELECT user_id, tokens, created_at, seen_at, expires_at FROM sessions WHERE id = $1 `+lock, id[:]).
		Scan(&found.UserID, &sealed, &found.CreatedAt, &found.SeenAt, &found.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, fmt.Errorf("read a session: %w", err)
	}
	plain, err := s.Box.Open(sealed, id[:])
	if errors.Is(err, seal.ErrOpen) {
		// Sealed by a key that was taken away: nobody can use it any more.
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, err
	}
	if err := json.Unmarshal(plain, &found.Tokens); err != nil {
		return Session{}, fmt.Errorf("read a session's tokens: %w", err)
	}
	return found, nil
}

func (s *Store) seal(id ID, tokens Tokens) ([]byte, error) {
	plain, err := json.Marshal(tokens)
	if err != nil {
		return nil, fmt.Errorf("write a session's tokens: %w", err)
	}
	return s.Box.Seal(plain, id[:]), nil
}

// End ends the session of a cookie; one that does not exist is ended already.
func (s *Store) End(ctx context.Context, cookie string) error {
	id, err := idOf(cookie)
	if err != nil {
		return nil //nolint:nilerr // nothing to end
	}
	return s.Delete(ctx, id)
}

// Delete ends a session.
func (s *Store) Delete(ctx context.Context, id ID) error {
	if _, err := s.Pool.Exec(ctx, `DELETE FROM sessions WHERE id = $1`, id[:]); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Sweep deletes every session that has ended by itself and returns how many.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	now := s.Now()
	tag, err := s.Pool.Exec(ctx, `DELETE FROM sessions WHERE expires_at <= $1 OR seen_at < $2`, now, now.Add(-s.Idle))
	if err != nil {
		return 0, fmt.Errorf("delete ended sessions: %w", err)
	}
	return tag.RowsAffected(), nil
}
