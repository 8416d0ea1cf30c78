package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/ory/fosite"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
)

// Kinds of rows.
const (
	kindCode    = "code"
	kindAccess  = "access"
	kindRefresh = "refresh"
	kindPKCE    = "pkce"
	kindOpenID  = "openid"
)

// storage keeps what the OAuth library asks for in one table.
type storage struct {
	pool    *pgxpool.Pool
	mode    mode.Mode
	clients map[string]fosite.Client
	now     func() time.Time
}

// storedRequest is the part of a request that outlives it.
type storedRequest struct {
	Scopes          []string   `json:"scopes"`
	GrantedScopes   []string   `json:"granted_scopes"`
	Audience        []string   `json:"audience"`
	GrantedAudience []string   `json:"granted_audience"`
	Form            url.Values `json:"form"`
	Session         *Session   `json:"session"`
}

// handleOf hashes a code or token: the table opens nothing.
func handleOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

type txKey struct{}

var errNoTransaction = errors.New("no transaction was begun")

// BeginTX, Commit and Rollback make the library's steps one transaction.
func (s *storage) BeginTX(ctx context.Context) (context.Context, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return ctx, fmt.Errorf("begin: %w", err)
	}
	return context.WithValue(ctx, txKey{}, tx), nil
}

func (s *storage) Commit(ctx context.Context) error {
	tx, ok := ctx.Value(txKey{}).(pgx.Tx)
	if !ok {
		return errNoTransaction
	}
	return tx.Commit(ctx)
}

func (s *storage) Rollback(ctx context.Context) error {
	tx, ok := ctx.Value(txKey{}).(pgx.Tx)
	if !ok {
		return errNoTransaction
	}
	err := tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) {
		return nil
	}
	return err
}

func (s *storage) db(ctx context.Context) database.Querier {
	if tx, ok := ctx.Value(txKey{}).(pgx.Tx); ok {
		return tx
	}
	return s.pool
}

func (s *storage) put(ctx context.Context, kind, handle string, expires time.Time, r fosite.Requester) error {
	session, ok := r.GetSession().(*Session)
	if !ok {
		return fmt.Errorf("a request with a session of type %T", r.GetSession())
	}
	content, err := json.Marshal(storedRequest{
		Scopes: r.GetRequestedScopes(), GrantedScopes: r.GetGrantedScopes(),
		Audience: r.GetRequestedAudience(), GrantedAudience: r.GetGrantedAudience(),
		Form: r.GetRequestForm(), Session: session,
	})
	if err != nil {
		return fmt.Errorf("encode a request: %w", err)
	}
	_, err = s.db(ctx).Exec(ctx, `INSERT INTO oauth_handles
		(kind, handle, request_id, client_id, user_id, active, requested_at, expires_at, request)
		VALUES ($1, $2, $3, $4, $5, true, $6, $7, $8)`,
		kind, handle, r.GetID(), r.GetClient().GetID(), session.UserID, r.GetRequestedAt(), expires, content)
	if err != nil {
		return fmt.Errorf("store a %s: %w", kind, err)
	}
	return nil
}

// get reads a row that has not expired. Error: fosite.ErrNotFound.
func (s *storage) get(ctx context.Context, kind, handle string) (*fosite.Request, bool, error) {
	var clientID string
	var content []byte
	var active bool
	request := fosite.NewRequest()
	err := s.db(ctx).QueryRow(ctx, `SELECT request_id, client_id, requested_at, active, request FROM oauth_handles
		WHERE kind = $1 AND handle = $2 AND expires_at > $3`, kind, handle, s.now()).
		Scan(&request.ID, &clientID, &request.RequestedAt, &active, &content)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, fosite.ErrNotFound
	}
	if err != nil {
		return nil, false, fmt.Errorf("find a %s: %w", kind, err)
	}
	var stored storedRequest
	if err := json.Unmarshal(content, &stored); err != nil {
		return nil, false, fmt.Errorf("decode a request: %w", err)
	}
	if request.Client, err = s.GetClient(ctx, clientID); err != nil {
		return nil, false, err
	}
	request.RequestedScope, request.GrantedScope = stored.Scopes, stored.GrantedScopes
	request.RequestedAudience, request.GrantedAudience = stored.Audience, stored.GrantedAudience
	request.Form, request.Session = stored.Form, stored.Session
	return request, active, nil
}

func (s *storage) drop(ctx context.Context, kind, handle string) error {
	if _, err := s.db(ctx).Exec(ctx, `DELETE FROM oauth_handles WHERE kind = $1 AND handle = $2`, kind, handle); err != nil {
		return fmt.Errorf("delete a %s: %w", kind, err)
	}
	return nil
}

// spend makes a row inactive once; false if it was.
func (s *storage) spend(ctx context.Context, kind, handle string) (bool, error) {
	tag, err := s.db(ctx).Exec(ctx, `UPDATE oauth_handles SET active = false WHERE kind = $1 AND handle = $2 AND active`, kind, handle)
	if err != nil {
		return false, fmt.Errorf("spend a %s: %w", kind, err)
	}
	return tag.RowsAffected() == 1, nil
}

// prune forgets what has expired.
func (s *storage) prune(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM oauth_handles WHERE expires_at <= $1`, s.now()); err != nil {
		return fmt.Errorf("prune oauth handles: %w", err)
	}
	return nil
}
