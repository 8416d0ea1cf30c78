package rekeyings

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

const listed = 100

var (
	errNone       = problem.New(http.StatusNotFound, "rekeying-not-found", "There is no such rekeying.")
	errErased     = problem.New(http.StatusConflict, "user-erased", "One of the users was erased; what was erased cannot be moved, and an erased ID is not given to anybody.")
	errErasing    = problem.New(http.StatusConflict, "user-under-erasure", "One of the users is under an erasure.")
	errHeld       = problem.New(http.StatusConflict, "user-under-legal-hold", "One of the users is under a legal hold.")
	errRekeying   = problem.New(http.StatusConflict, "user-under-rekeying", "One of the users is under another rekeying.")
	errConflicts  = problem.New(http.StatusConflict, "rekey-conflicts", "Both users have rows of which only one may stay, and no manifest says which; a dry run shows them.")
	errUnanswered = problem.New(http.StatusServiceUnavailable, "participant-unavailable", "Not every participant said what the rekeying would do.")
	errUnknown    = problem.New(http.StatusConflict, "new-user-unknown", "The identity provider does not know the new user.")
	errNoIdP      = problem.New(http.StatusServiceUnavailable, "identity-provider-unavailable", "The identity provider did not say whether it knows the new user.")
)

// Register adds the routes.
func (s *Service) Register(m *access.Mux) {
	kit.Handle(m, "POST /v1/rekeyings", kit.JSON[asked], s.rekey, http.StatusOK)
	kit.Handle(m, "GET /v1/rekeyings", kit.NoBody[listing], s.list, http.StatusOK)
	kit.Handle(m, "GET /v1/rekeyings/{id}", kit.NoBody[byID], func(ctx context.Context, q byID) (api.Rekeying, error) {
		return s.answer(ctx, q.id)
	}, http.StatusOK)
}

type asked struct {
	api.RekeyRequest
	change Change
}

// Validate reads the user IDs.
func (q *asked) Validate() error {
	for encoded, id := range map[*string]*string{&q.OldUserID: &q.change.OldID, &q.NewUserID: &q.change.NewID} {
		decoded, err := userids.Decode(*encoded)
		if err == nil {
			err = identity.CheckUserID(decoded)
		}
		if err != nil {
			return problem.ErrInvalidRequest.Because(err)
		}
		*id = decoded
	}
	if q.change.OldID == q.change.NewID {
		return problem.ErrInvalidRequest.Because(participant.ErrSameUser)
	}
	q.change.Again = q.Again
	return nil
}

type byID struct{ id uuid.UUID }

// Bind reads the path.
func (q *byID) Bind(r *http.Request) (err error) {
	q.id, err = kit.PathID(r, problem.ErrNotFound)
	return err
}

type listing struct{ open bool }

// Bind reads the query.
func (q *listing) Bind(r *http.Request) (err error) {
	if text := r.URL.Query().Get("open"); text != "" {
		if q.open, err = strconv.ParseBool(text); err != nil {
			return problem.ErrInvalidRequest.Becausef("open is not a boolean")
		}
	}
	return nil
}

func (s *Service) rekey(ctx context.Context, q asked) (api.Rekeying, error) {
	if caller, ok := authn.FromContext(ctx); ok {
		q.change.RequestedBy = caller.ClientID()
	}
	if q.DryRun {
		return s.dryRun(ctx, q.change), nil
	}
	if !q.AcceptUnknown {
		_, found, err := s.Users.Lookup(ctx, q.change.NewID)
		switch {
		case errors.Is(err, userlist.ErrForeign): // another issuer's: this list cannot say
		case err != nil:
			return api.Rekeying{}, errNoIdP.Because(err)
		case !found:
			return api.Rekeying{}, errUnknown
		}
	}
	id, err := s.Begin(ctx, q.change)
	if err != nil {
		return api.Rekeying{}, public(err)
	}
	s.Log.InfoContext(ctx, "a user gets another ID", "rekey_id", id, "client_id", q.change.RequestedBy)
	return s.answer(ctx, id)
}

func public(err error) error {
	for cause, told := range map[error]*problem.Error{
		ErrNotFound: errNone, ErrErased: errErased, ErrErasing: errErasing, ErrRekeying: errRekeying, ErrHeld: errHeld, ErrConflicts: errConflicts, ErrUnanswered: errUnanswered,
	} {
		if errors.Is(err, cause) {
			return told.Because(err)
		}
	}
	return err
}

func (s *Service) dryRun(ctx context.Context, c Change) api.Rekeying {
	all := s.Preview(ctx, c)
	wire := api.Rekeying{
		State: DryRun, OldHash: encode(s.Tombstones.Hash(c.OldID)), NewHash: encode(s.Tombstones.Hash(c.NewID)), HashKeyID: s.Tombstones.KeyID(),
		WaitingFor: []string{}, Answers: make([]api.RekeyingAnswer, 0, len(all)), Conflicts: Conflicts(all),
	}
	for _, p := range all {
		a := api.RekeyingAnswer{Participant: p.Participant, Columns: wireColumns(p.Columns)}
		switch {
		case p.Err != nil:
			a.Problem = "did not answer"
		case p.NewErased:
			a.Problem = "the new user was erased here"
		case p.OldErased:
			a.Problem = "the old user was erased or rekeyed here"
		}
		wire.Answers = append(wire.Answers, a)
	}
	return wire
}

func (s *Service) answer(ctx context.Context, id uuid.UUID) (api.Rekeying, error) {
	r, answers, err := Get(ctx, s.Pool, id)
	if err != nil {
		return api.Rekeying{}, public(err)
	}
	wire := wireRekeying(r)
	for _, a := range answers {
		answer := api.RekeyingAnswer{Participant: a.Participant, AnsweredAt: a.AnsweredAt, Columns: []api.RekeyingColumn{}}
		if a.Receipt != nil {
			var receipt participant.RekeyReceipt
			if err := json.Unmarshal(a.Receipt, &receipt); err != nil {
				return api.Rekeying{}, fmt.Errorf("read a receipt: %w", err)
			}
			answer.Columns = wireColumns(receipt.Columns)
		}
		wire.Answers = append(wire.Answers, answer)
	}
	return wire, nil
}

func (s *Service) list(ctx context.Context, q listing) (api.Rekeyings, error) {
	list, err := List(ctx, s.Pool, q.open, listed)
	if err != nil {
		return api.Rekeyings{}, err
	}
	page := api.Rekeyings{Rekeyings: make([]api.Rekeying, 0, len(list))}
	for _, r := range list {
		page.Rekeyings = append(page.Rekeyings, wireRekeying(r))
	}
	return page, nil
}

func wireRekeying(r Rekeying) api.Rekeying {
	opened, due := r.OpenedAt.UTC(), r.DueAt.UTC()
	return api.Rekeying{
		ID: r.ID.String(), State: r.State, OldHash: encode(r.OldHash), NewHash: encode(r.NewHash), HashKeyID: r.HashKeyID, RequestedBy: r.RequestedBy,
		OpenedAt: &opened, DueAt: &due, CompletedAt: r.CompletedAt, Late: r.Late, WaitingFor: r.WaitingFor, Answers: []api.RekeyingAnswer{},
		MessagesDeleted: r.MessagesDeleted,
	}
}

func wireColumns(columns []participant.RekeyedColumn) []api.RekeyingColumn {
	wire := make([]api.RekeyingColumn, 0, len(columns))
	for _, c := range columns {
		wire = append(wire, api.RekeyingColumn{
			Table: c.Table, Column: c.Column, Action: string(c.Action), Rows: c.Rows, Merged: c.Merged, Refused: c.Refused,
			Conflict: string(c.Conflict), Reason: c.Reason,
		})
	}
	return wire
}

func encode(hash []byte) string { return base64.RawURLEncoding.EncodeToString(hash) }
