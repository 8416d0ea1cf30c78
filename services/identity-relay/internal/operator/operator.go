// Package operator serves what an operator may see and decide.
package operator

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
	"github.com/shadowless/shadowless/services/identity-relay/internal/reconcile"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
)

// sourceOperator is the source of what an operator records.
const sourceOperator = "operator"

const busyRetryAfter = 5 * time.Second

var (
	errNoErasure        = problem.New(http.StatusNotFound, "erasure-not-found", "There is no such erasure.")
	errNotHeld          = problem.New(http.StatusConflict, "erasure-not-held", "The erasure is not held.")
	errUnderWay         = problem.New(http.StatusConflict, "erasure-under-way", "Participants have been asked to erase already.")
	errNotRequested     = problem.New(http.StatusConflict, "erasure-not-requested", "Nobody's answer is waited for.")
	errReadmitted       = problem.New(http.StatusConflict, "user-readmitted", "The user was readmitted before.")
	errOtherUser        = problem.New(http.StatusConflict, "erasure-of-another-user", "The erasure is of another user.")
	errHoldExists       = problem.New(http.StatusConflict, "legal-hold-exists", "The user is under a legal hold already.")
	errNoHold           = problem.New(http.StatusNotFound, "legal-hold-not-found", "There is no such legal hold.")
	errRekeyed          = problem.New(http.StatusConflict, "user-rekeyed", "The user has another ID; hold that one.")
	errReasonNamesUser  = problem.New(http.StatusBadRequest, "reason-names-user", "The reason outlives the erasure and must not name the user.")
	errNotRevoked       = problem.New(http.StatusNotFound, "not-revoked", "There is no such revocation.")
	errNoReconciliation = problem.New(http.StatusNotFound, "reconciliation-not-found", "There is no such reconciliation.")
	errBusy             = problem.New(http.StatusConflict, "reconciliation-in-progress", "Another reconciliation is under way.")
)

// Service is the operator's part of the relay.
type Service struct {
	Pool       *pgxpool.Pool
	Recorder   *relay.Recorder
	Projector  *revocations.Projector
	Reconciler *reconcile.Reconciler
	Refusals   *source.Refusals
	Erasures   erasures.Settings
	Now        func() time.Time
}

// Register adds the routes.
func (s *Service) Register(m *access.Mux) {
	kit.Handle(m, "GET /v1/erasures", kit.NoBody[listErasures], s.listErasures, http.StatusOK)
	kit.Handle(m, "GET /v1/erasures/{id}", kit.NoBody[byID], s.erasure, http.StatusOK)
	s.registerDecisions(m)
	kit.Handle(m, "POST /v1/revocations", kit.JSON[revoke], s.revoke, http.StatusOK)
	kit.Handle(m, "DELETE /v1/revocations/{kind}/{id}", kit.NoBody[lift], s.lift, http.StatusOK)
	kit.Handle(m, "POST /v1/revocations/rebuild", kit.NoBody[struct{}], s.rebuild, http.StatusOK)
	kit.Handle(m, "POST /v1/reconciliations", kit.JSON[api.ReconcileRequest], s.reconcile, http.StatusOK)
	kit.Handle(m, "GET /v1/reconciliations/{id}", kit.NoBody[byID], s.reconciliation, http.StatusOK)
	kit.Handle(m, "GET /v1/events", kit.NoBody[listEvents], s.events, http.StatusOK)
	kit.Handle(m, "POST /v1/events/replays", kit.JSON[replayEvents], s.replay, http.StatusOK)
	kit.Handle(m, "GET /v1/sources", kit.NoBody[struct{}], s.sources, http.StatusOK)
}

func (s *Service) revoke(ctx context.Context, q revoke) (api.Revocation, error) {
	now := s.Now().UTC()
	answer := api.Revocation{Kind: q.Kind, RevokedAt: now}
	if q.kind == authn.RevokedSession {
		// A session that ended is a fact that others hear of, too.
		outcomes, err := s.Recorder.Submit(ctx, relay.Fact{
			Source: sourceOperator, Type: "session.ended", Kind: relay.SessionEnded, SessionID: q.ID, OccurredAt: now,
		})
		if err != nil {
			return answer, err
		}
		answer.Changed = outcomes[0] == relay.Recorded
		return answer, nil
	}
	var err error
	answer.Changed, err = s.Recorder.Revoke(ctx, q.kind, q.ID, revocations.CauseOperator, now)
	return answer, err
}

func (s *Service) lift(ctx context.Context, q lift) (api.Lifted, error) {
	now := s.Now().UTC()
	causes := []revocations.Cause{""} // all of them
	if q.kind == authn.BlockedUser {
		// Who was deleted comes back by a readmission alone, and an ID that was given up never.
		causes = []revocations.Cause{revocations.CauseOperator, revocations.CauseBanned}
	}
	lifted := false
	err := s.Recorder.Transact(ctx, func(tx pgx.Tx) error {
		for _, cause := range causes {
			changed, err := revocations.Lift(ctx, tx, q.kind, authn.NewRevocationKey(q.kind, q.id), cause, now)
			if err != nil {
				return err
			}
			lifted = lifted || changed
		}
		return nil
	})
	if err == nil && !lifted {
		err = errNotRevoked
	}
	return api.Lifted{Kind: q.name, LiftedAt: now}, err
}

func (s *Service) rebuild(ctx context.Context, _ struct{}) (api.Rebuild, error) {
	n, err := s.Projector.Rebuild(ctx)
	return api.Rebuild{Rows: n}, err
}

func (s *Service) reconcile(ctx context.Context, q api.ReconcileRequest) (api.Reconciliation, error) {
	result, err := s.Reconciler.Trigger(ctx, reconcile.Options{AcceptShrink: q.AcceptShrink})
	if errors.Is(err, reconcile.ErrInProgress) {
		return api.Reconciliation{}, errBusy.After(busyRetryAfter)
	}
	return wireReconciliation(result), err
}

func (s *Service) reconciliation(ctx context.Context, q byID) (api.Reconciliation, error) {
	result, err := s.Reconciler.Get(ctx, q.id)
	if errors.Is(err, reconcile.ErrNotFound) {
		return api.Reconciliation{}, errNoReconciliation
	}
	return wireReconciliation(result), err
}

func wireReconciliation(r reconcile.Result) api.Reconciliation {
	wire := api.Reconciliation{
		ID: r.ID.String(), State: r.State, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		Participants: make([]api.ReconciliationParticipant, 0, len(r.Participants)),
		Held:         r.Held, Listed: r.Listed, Missing: r.Missing, UnderErasure: r.UnderErasure, Known: r.Known,
		Erased: r.Erased, Reopened: r.Reopened, Postponed: r.Postponed, Rescued: r.Rescued, Waiting: r.Waiting,
		Deleted: r.Deleted, Banned: r.Banned, Unbanned: r.Unbanned, Unanswered: r.Unanswered, Problem: r.Problem,
	}
	for _, p := range r.Participants {
		wire.Participants = append(wire.Participants, api.ReconciliationParticipant(p))
	}
	return wire
}
