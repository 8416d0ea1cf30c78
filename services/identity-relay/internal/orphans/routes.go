package orphans

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/services/identity-relay/api"
)

const findingsPage = 500

var errNoAudit = problem.New(http.StatusNotFound, "audit-not-found", "There is no such audit.")

// Register adds the routes.
func (a *Auditor) Register(m *access.Mux) {
	kit.Handle(m, "POST /v1/orphan-audits", kit.JSON[api.OrphanAuditRequest], func(ctx context.Context, q api.OrphanAuditRequest) (api.OrphanAudit, error) {
		id, err := a.Start(ctx, q.Partial)
		if err != nil {
			return api.OrphanAudit{}, err
		}
		return a.answer(ctx, id)
	}, http.StatusOK)
	kit.Handle(m, "POST /v1/orphan-audits/{id}/resume", kit.JSON[resuming], func(ctx context.Context, q resuming) (api.OrphanAudit, error) {
		if err := a.Resume(ctx, q.id, q.Partial); err != nil {
			return api.OrphanAudit{}, public(err)
		}
		return a.answer(ctx, q.id)
	}, http.StatusOK)
	kit.Handle(m, "GET /v1/orphan-audits/{id}", kit.NoBody[byID], func(ctx context.Context, q byID) (api.OrphanAudit, error) {
		return a.answer(ctx, q.id)
	}, http.StatusOK)
	kit.Handle(m, "GET /v1/orphan-audits/{id}/orphans", kit.NoBody[findings], a.findings, http.StatusOK)
}

type byID struct{ id uuid.UUID }

func (q *byID) Bind(r *http.Request) (err error) {
	q.id, err = kit.PathID(r, problem.ErrNotFound)
	return err
}

type resuming struct {
	api.OrphanAuditRequest
	id uuid.UUID
}

func (q *resuming) Bind(r *http.Request) error {
	var by byID
	err := by.Bind(r)
	q.id = by.id
	return err
}

type findings struct {
	byID
	after   int64
	showIDs bool
}

func (q *findings) Bind(r *http.Request) (err error) {
	if err := q.byID.Bind(r); err != nil {
		return err
	}
	if text := r.URL.Query().Get("after"); text != "" {
		if q.after, err = strconv.ParseInt(text, 10, 64); err != nil || q.after < 0 {
			return problem.ErrInvalidRequest.Becausef("after is not a number of this list")
		}
	}
	if text := r.URL.Query().Get("show_ids"); text != "" {
		if q.showIDs, err = strconv.ParseBool(text); err != nil {
			return problem.ErrInvalidRequest.Becausef("show_ids is not a boolean")
		}
	}
	return nil
}

func public(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errNoAudit
	}
	return err
}

func (a *Auditor) answer(ctx context.Context, id uuid.UUID) (api.OrphanAudit, error) {
	audit, err := a.Get(ctx, id)
	if err != nil {
		return api.OrphanAudit{}, public(err)
	}
	wire := api.OrphanAudit{
		ID: audit.ID.String(), State: audit.State, Phase: audit.Phase, StartedAt: audit.StartedAt.UTC(), FinishedAt: audit.FinishedAt,
		Listed: audit.Listed, Unsettled: audit.Unsettled, LookedUp: audit.LookedUp, Problem: audit.Problem,
		Holders: make([]api.OrphanAuditHolder, 0, len(audit.Holders)), Columns: make([]api.OrphanAuditColumn, 0, len(audit.Columns)),
	}
	for _, h := range audit.Holders {
		wire.Holders = append(wire.Holders, api.OrphanAuditHolder(h))
	}
	for _, c := range audit.Columns {
		wire.Columns = append(wire.Columns, api.OrphanAuditColumn{
			Holder: c.Holder, Table: c.Table, Column: c.Column, IDs: c.IDs, Rows: c.Rows, Orphans: c.Orphans,
			Erased: c.AfterErasure, Erasing: c.UnderErase, Retained: c.Retained, Foreign: c.Foreign,
		})
	}
	return wire, nil
}

func (a *Auditor) findings(ctx context.Context, q findings) (api.Orphans, error) {
	var exists bool
	if err := a.Pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM orphan_audits WHERE id = $1)`, q.id).Scan(&exists); err != nil {
		return api.Orphans{}, fmt.Errorf("read an audit: %w", err)
	}
	if !exists {
		return api.Orphans{}, errNoAudit
	}
	list, err := a.Findings(ctx, q.id, q.after, findingsPage)
	if err != nil {
		return api.Orphans{}, err
	}
	page := api.Orphans{Orphans: make([]api.Orphan, 0, len(list))}
	for _, f := range list {
		o := api.Orphan{
			Holder: f.Holder, Finding: f.Finding, UserHash: base64.RawURLEncoding.EncodeToString(f.UserHash),
			Places: make([]api.OrphanPlace, 0, len(f.Places)),
		}
		if q.showIDs {
			o.UserID = userids.Encode(f.UserID)
		}
		for _, p := range f.Places {
			o.Places = append(o.Places, api.OrphanPlace{Table: p.Table, Column: p.Column, Rows: p.Rows})
		}
		page.Orphans = append(page.Orphans, o)
	}
	if len(list) == findingsPage {
		page.Next = list[len(list)-1].Number
	}
	return page, nil
}
