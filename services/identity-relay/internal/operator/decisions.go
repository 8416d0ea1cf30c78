package operator

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

// maxReason is the longest reason, in bytes.
const maxReason = 1000

func (s *Service) registerDecisions(m *access.Mux) {
	kit.Handle(m, "POST /v1/erasures/{id}/release", kit.NoBody[byID], s.release, http.StatusOK)
	kit.Handle(m, "POST /v1/erasures/{id}/hold", kit.JSON[hold], s.hold, http.StatusOK)
	kit.Handle(m, "POST /v1/erasures/{id}/retry", kit.NoBody[byID], s.retry, http.StatusOK)
	kit.Handle(m, "POST /v1/erasures/{id}/readmit", kit.JSON[readmit], s.readmit, http.StatusOK)
	kit.Handle(m, "GET /v1/legal-holds", kit.NoBody[listHolds], s.legalHolds, http.StatusOK)
	kit.Handle(m, "POST /v1/legal-holds", kit.JSON[holdUser], s.holdUser, http.StatusCreated)
	kit.Handle(m, "DELETE /v1/legal-holds/{id}", kit.NoBody[byID], s.liftHold, http.StatusOK)
}

// decider is who asks, with the reason.
func decider(ctx context.Context, reason string) erasures.Decider {
	d := erasures.Decider{By: sourceOperator, Reason: reason}
	if p, ok := authn.FromContext(ctx); ok && p.ClientID() != "" {
		d.By = p.ClientID()
	}
	return d
}

// decide runs one decision in a transaction and returns the erasure after it.
func (s *Service) decide(ctx context.Context, id uuid.UUID, fn func(tx pgx.Tx) error) (api.ErasureDetail, error) {
	if err := s.Recorder.Transact(ctx, fn); err != nil {
		return api.ErasureDetail{}, refusal(err)
	}
	return s.erasure(ctx, byID{id})
}

// refusal is the public face of what the erasures refuse.
func refusal(err error) error {
	for cause, public := range map[error]*problem.Error{
		erasures.ErrNotFound: errNoErasure, erasures.ErrNotHeld: errNotHeld, erasures.ErrUnderWay: errUnderWay,
		erasures.ErrNotRequested: errNotRequested, erasures.ErrReadmitted: errReadmitted, erasures.ErrOtherUser: errOtherUser,
		erasures.ErrHoldExists: errHoldExists, erasures.ErrNoHold: errNoHold, erasures.ErrReason: errReasonNamesUser,
		erasures.ErrRekeyed: errRekeyed,
	} {
		if errors.Is(err, cause) {
			return public
		}
	}
	return err
}

func (s *Service) release(ctx context.Context, q byID) (api.ErasureDetail, error) {
	return s.decide(ctx, q.id, func(tx pgx.Tx) error { return erasures.Release(ctx, tx, s.Erasures, q.id, decider(ctx, "")) })
}

func (s *Service) retry(ctx context.Context, q byID) (api.ErasureDetail, error) {
	return s.decide(ctx, q.id, func(tx pgx.Tx) error { return erasures.Retry(ctx, tx, s.Erasures, q.id, decider(ctx, "")) })
}

type hold struct {
	api.HoldRequest
	of byID
}

func (q *hold) Bind(r *http.Request) error { return q.of.Bind(r) }

func (q *hold) Validate() error { return checkReason(q.Reason) }

func (s *Service) hold(ctx context.Context, q hold) (api.ErasureDetail, error) {
	return s.decide(ctx, q.of.id, func(tx pgx.Tx) error { return erasures.Hold(ctx, tx, s.Erasures, q.of.id, decider(ctx, q.Reason)) })
}

type readmit struct {
	api.ReadmitRequest
	of byID
}

func (q *readmit) Bind(r *http.Request) error { return q.of.Bind(r) }

func (q *readmit) Validate() error { return errors.Join(checkUser(q.UserID), checkReason(q.Reason)) }

func (s *Service) readmit(ctx context.Context, q readmit) (api.ErasureDetail, error) {
	return s.decide(ctx, q.of.id, func(tx pgx.Tx) error {
		return erasures.Readmit(ctx, tx, s.Erasures, q.of.id, q.UserID, decider(ctx, q.Reason))
	})
}

type holdUser struct{ api.HoldUserRequest }

func (q *holdUser) Validate() error { return errors.Join(checkUser(q.UserID), checkReason(q.Reason)) }

func (s *Service) holdUser(ctx context.Context, q holdUser) (api.LegalHold, error) {
	var placed erasures.LegalHold
	err := s.Recorder.Transact(ctx, func(tx pgx.Tx) (err error) {
		placed, err = erasures.HoldUser(ctx, tx, s.Erasures, q.UserID, decider(ctx, q.Reason))
		return err
	})
	return wireHold(placed), refusal(err)
}

func (s *Service) liftHold(ctx context.Context, q byID) (api.LiftedHold, error) {
	err := s.Recorder.Transact(ctx, func(tx pgx.Tx) error { return erasures.Lift(ctx, tx, s.Erasures, q.id, decider(ctx, "")) })
	return api.LiftedHold{ID: q.id.String(), LiftedAt: s.Now().UTC()}, refusal(err)
}

type listHolds struct {
	after uuid.UUID
	limit int
}

func (q *listHolds) Bind(r *http.Request) (err error) {
	if q.after, err = afterOf(r); err != nil {
		return err
	}
	q.limit, err = limitOf(r)
	return err
}

func (s *Service) legalHolds(ctx context.Context, q listHolds) (api.LegalHolds, error) {
	list, err := erasures.Holds(ctx, s.Pool, q.after, q.limit)
	if err != nil {
		return api.LegalHolds{}, err
	}
	page := api.LegalHolds{LegalHolds: make([]api.LegalHold, 0, len(list))}
	for _, h := range list {
		page.LegalHolds = append(page.LegalHolds, wireHold(h))
	}
	if len(list) == q.limit {
		page.Next = list[len(list)-1].ID.String()
	}
	return page, nil
}

func wireHold(h erasures.LegalHold) api.LegalHold {
	return api.LegalHold{
		ID: h.ID.String(), UserHash: base64.RawURLEncoding.EncodeToString(h.UserHash), HashKeyID: h.HashKeyID,
		Reason: h.Reason, PlacedAt: h.PlacedAt.UTC(), PlacedBy: h.PlacedBy,
	}
}

func checkUser(userID string) error {
	if err := identity.CheckUserID(userID); err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	return nil
}

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return problem.ErrInvalidRequest.Becausef("reason is not one line of 1 to %d bytes", maxReason)
	}
	return nil
}
