// Package exports reads everything that all services hold under one user ID
// (GDPR, articles 15 and 20), page by page, and records who asked for it. The
// record has the keyed hash of the user ID, and stays.
package exports

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/peers"
)

const listed = 100

var (
	errNoExport  = problem.New(http.StatusNotFound, "export-not-found", "There is no such export of this user.")
	errNoAnswer  = problem.New(http.StatusBadGateway, "participant-unavailable", "The participant did not answer.")
	errNobody    = problem.New(http.StatusNotFound, "participant-not-found", "There is no such participant.")
	errNoService = errors.New("the caller is unknown")
)

// Service reads and records exports.
type Service struct {
	Pool       *pgxpool.Pool
	Peers      []peers.Peer
	Tombstones *participant.Tombstones
	Now        func() time.Time
	Log        *slog.Logger
}

// Register adds the routes.
func (s *Service) Register(m *access.Mux) {
	kit.Handle(m, "POST /v1/exports", kit.JSON[starting], s.start, http.StatusOK)
	kit.Handle(m, "GET /v1/exports", kit.NoBody[struct{}], s.list, http.StatusOK)
	kit.Handle(m, "POST /v1/exports/{id}/pages", kit.JSON[paging], s.page, http.StatusOK)
}

type starting struct {
	UserID string `json:"user_id"`
	user   string
}

// Validate reads the user ID.
func (q *starting) Validate() (err error) {
	q.user, err = userOf(q.UserID)
	return err
}

type paging struct {
	api.ExportPageRequest
	id   uuid.UUID
	user string
}

// Bind reads the path.
func (q *paging) Bind(r *http.Request) (err error) {
	q.id, err = kit.PathID(r, problem.ErrNotFound)
	return err
}

// Validate reads the user ID.
func (q *paging) Validate() (err error) {
	q.user, err = userOf(q.UserID)
	return err
}

func userOf(encoded string) (string, error) {
	id, err := userids.Decode(encoded)
	if err == nil {
		err = identity.CheckUserID(id)
	}
	if err != nil {
		return "", problem.ErrInvalidRequest.Because(err)
	}
	return id, nil
}

func (s *Service) start(ctx context.Context, q starting) (api.Export, error) {
	caller, ok := authn.FromContext(ctx)
	if !ok {
		return api.Export{}, errNoService
	}
	id, err := uuid.NewV7()
	if err != nil {
		return api.Export{}, fmt.Errorf("make an export ID: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO exports (id, user_hash, hash_key_id, requested_by, started_at) VALUES ($1, $2, $3, $4, $5)`,
			id, s.Tombstones.Hash(q.user), s.Tombstones.KeyID(), caller.ClientID(), s.Now().UTC())
		for _, p := range s.Peers {
			if err == nil {
				_, err = tx.Exec(ctx, `INSERT INTO export_answers (export_id, participant) VALUES ($1, $2)`, id, p.Name())
			}
		}
		return err
	})
	if err != nil {
		return api.Export{}, fmt.Errorf("record an export: %w", err)
	}
	s.Log.InfoContext(ctx, "an export of a user's data began", "export_id", id, "client_id", caller.ClientID())
	return s.get(ctx, id)
}

// page reads from one participant and notes what it delivered before it passes
// it on: what is not recorded is not told.
func (s *Service) page(ctx context.Context, q paging) (api.ExportPage, error) {
	var hash []byte
	err := s.Pool.QueryRow(ctx, `SELECT user_hash FROM exports WHERE id = $1`, q.id).Scan(&hash)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return api.ExportPage{}, fmt.Errorf("read an export: %w", err)
	}
	// The record must be about whom is asked for.
	if err != nil || !s.about(hash, q.user) {
		return api.ExportPage{}, errNoExport
	}
	for _, p := range s.Peers {
		if p.Name() != q.Participant {
			continue
		}
		page, err := p.Export(ctx, q.user, q.Cursor)
		if errors.Is(err, participant.ErrCursor) {
			return api.ExportPage{}, problem.ErrInvalidRequest.Because(err)
		}
		if err != nil {
			return api.ExportPage{}, errNoAnswer.Because(err)
		}
		_, err = s.Pool.Exec(ctx, `UPDATE export_answers SET pages = pages + 1, row_count = row_count + $3, complete = complete OR $4, answered_at = $5
			WHERE export_id = $1 AND participant = $2`, q.id, p.Name(), len(page.Rows), page.Next == "", s.Now().UTC())
		if err != nil {
			return api.ExportPage{}, fmt.Errorf("record a page: %w", err)
		}
		wire := api.ExportPage{Table: page.Table, Columns: page.Columns, Rows: page.Rows, Next: page.Next, Withheld: []api.WithheldColumn{}}
		for _, w := range page.Withheld {
			wire.Withheld = append(wire.Withheld, api.WithheldColumn(w))
		}
		return wire, nil
	}
	return api.ExportPage{}, errNobody
}

func (s *Service) about(hash []byte, userID string) bool {
	for _, h := range s.Tombstones.Hashes(userID) {
		if subtle.ConstantTimeCompare(h, hash) == 1 {
			return true
		}
	}
	return false
}

func (s *Service) get(ctx context.Context, id uuid.UUID) (api.Export, error) {
	found, err := s.read(ctx, `WHERE e.id = $1`, id)
	if err == nil && len(found) == 0 {
		err = errNoExport
	}
	if err != nil {
		return api.Export{}, err
	}
	return found[0], nil
}

func (s *Service) list(ctx context.Context, _ struct{}) (api.Exports, error) {
	found, err := s.read(ctx, `WHERE e.id IN (SELECT id FROM exports ORDER BY id DESC LIMIT $1)`, listed)
	return api.Exports{Exports: found}, err
}

func (s *Service) read(ctx context.Context, where string, arg any) ([]api.Export, error) {
	rows, err := s.Pool.Query(ctx, `SELECT e.id, e.user_hash, e.hash_key_id, e.requested_by, e.started_at, a.participant, a.pages, a.row_count, a.complete, a.answered_at
		FROM exports e JOIN export_answers a ON a.export_id = e.id `+where+` ORDER BY e.id DESC, a.participant`, arg)
	if err != nil {
		return nil, fmt.Errorf("read exports: %w", err)
	}
	list := []api.Export{}
	var e api.Export
	var a api.ExportAnswer
	var id uuid.UUID
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &hash, &e.HashKeyID, &e.RequestedBy, &e.StartedAt, &a.Participant, &a.Pages, &a.Rows, &a.Complete, &a.AnsweredAt}, func() error {
		if len(list) == 0 || list[len(list)-1].ID != id.String() {
			e.ID, e.UserHash, e.StartedAt, e.Answers = id.String(), base64.RawURLEncoding.EncodeToString(hash), e.StartedAt.UTC(), nil
			list = append(list, e)
		}
		last := &list[len(list)-1]
		last.Answers = append(last.Answers, a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read exports: %w", err)
	}
	return list, nil
}
