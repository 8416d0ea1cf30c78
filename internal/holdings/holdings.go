// Package holdings are the routes by which a participant tells what it holds
// under user IDs: where each ID stands (for the audit of orphans), everything
// under one ID (for an export), and what moving it to another ID would do. Only
// identity-relay calls them, each under a scope of its own.
package holdings

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Patterns and scopes, and the only caller.
const (
	ListPattern    = "GET /v1/identity/holdings"
	ExportPattern  = "GET /v1/identity/users/{user_id}/export"
	PreviewPattern = "GET /v1/identity/users/{user_id}/rekey/{new_user_id}"

	ListScope    = "identity:holdings"
	ExportScope  = "identity:export"
	PreviewScope = "identity:rekey"

	caller = "identity-relay"
)

// Scopes are all that the relay needs for these routes.
var Scopes = []string{ListScope, ExportScope, PreviewScope}

// Routes are rows of a participant's access table.
func Routes() []access.Route {
	return []access.Route{
		{Pattern: ListPattern, Allow: []access.Rule{access.Client(caller, ListScope)}, Doc: "where each user ID stands, for the audit of orphans"},
		{Pattern: ExportPattern, Allow: []access.Rule{access.Client(caller, ExportScope)}, Doc: "everything under one user ID (GDPR, articles 15 and 20)"},
		{Pattern: PreviewPattern, Allow: []access.Rule{access.Client(caller, PreviewScope)}, Doc: "what moving a user to another ID would do; changes nothing"},
	}
}

// Source is a participant, or a service that answers for itself.
type Source interface {
	Holdings(ctx context.Context, after string, limit int) ([]participant.Holding, string, error)
	Export(ctx context.Context, userID, cursor string) (participant.ExportPage, error)
	PreviewRekey(ctx context.Context, oldID, newID string) (participant.RekeyPreview, error)
}

// Page of holdings. An empty Next ends the list.
type Page struct {
	Holdings []Holding `json:"holdings"`
	Next     string    `json:"next,omitempty"`
}

// Holding is one user ID, as base64url, with the places that hold it.
type Holding struct {
	UserID string                  `json:"user_id"`
	Erased bool                    `json:"erased,omitempty"`
	Places []participant.HeldPlace `json:"places"`
}

// Handle serves the routes.
func Handle(m *access.Mux, s Source) {
	kit.Handle(m, ListPattern, kit.NoBody[listing], func(ctx context.Context, q listing) (Page, error) {
		list, next, err := s.Holdings(ctx, q.after, q.limit)
		if err != nil {
			return Page{}, err
		}
		page := Page{Holdings: make([]Holding, 0, len(list)), Next: userids.Encode(next)}
		for _, h := range list {
			page.Holdings = append(page.Holdings, Holding{UserID: userids.Encode(h.UserID), Erased: h.Erased, Places: h.Places})
		}
		return page, nil
	}, http.StatusOK)
	kit.Handle(m, ExportPattern, kit.NoBody[exporting], func(ctx context.Context, q exporting) (participant.ExportPage, error) {
		page, err := s.Export(ctx, q.userID, q.cursor)
		if errors.Is(err, participant.ErrCursor) {
			err = problem.ErrInvalidRequest.Because(err)
		}
		return page, err
	}, http.StatusOK)
	kit.Handle(m, PreviewPattern, kit.NoBody[rekeying], func(ctx context.Context, q rekeying) (participant.RekeyPreview, error) {
		preview, err := s.PreviewRekey(ctx, q.oldID, q.newID)
		if errors.Is(err, participant.ErrSameUser) {
			err = problem.ErrInvalidRequest.Because(err)
		}
		return preview, err
	}, http.StatusOK)
}

type listing struct {
	after string
	limit int
}

func (q *listing) Bind(r *http.Request) (err error) {
	if q.after, err = userids.Decode(r.URL.Query().Get("after")); err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	q.limit = participant.MaxUserIDs
	if text := r.URL.Query().Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > participant.MaxUserIDs {
			return problem.ErrInvalidRequest.Becausef("limit is not a number from 1 to %d", participant.MaxUserIDs)
		}
	}
	return nil
}

type exporting struct{ userID, cursor string }

func (q *exporting) Bind(r *http.Request) (err error) {
	q.cursor = r.URL.Query().Get("cursor")
	q.userID, err = userOf(r, "user_id")
	return err
}

type rekeying struct{ oldID, newID string }

func (q *rekeying) Bind(r *http.Request) (err error) {
	if q.oldID, err = userOf(r, "user_id"); err != nil {
		return err
	}
	q.newID, err = userOf(r, "new_user_id")
	return err
}

func userOf(r *http.Request, name string) (string, error) {
	id, err := userids.Decode(r.PathValue(name))
	if err != nil {
		return "", problem.ErrInvalidRequest.Because(err)
	}
	if err := identity.CheckUserID(id); err != nil {
		return "", problem.ErrInvalidRequest.Because(err)
	}
	return id, nil
}
