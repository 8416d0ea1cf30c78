// Package userids is the one route that every participant serves for
// reconciliation: the user IDs that it holds, in pages. They travel as
// base64url, because an opaque ID may hold anything.
package userids

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Pattern, Scope and the only caller.
const (
	Pattern = "GET /v1/identity/user-ids"
	Scope   = "identity:user-ids"
	caller  = "identity-relay"
)

// Route is the row of a participant's access table.
func Route() access.Route {
	return access.Route{
		Pattern: Pattern, Allow: []access.Rule{access.Client(caller, Scope)},
		Doc: "the user IDs that this service holds, for reconciliation",
	}
}

// Page is the answer: base64url without padding. An empty Next ends the list.
type Page struct {
	UserIDs []string `json:"user_ids"`
	Next    string   `json:"next,omitempty"`
}

// Handle serves the route.
func Handle(m *access.Mux, p *participant.Participant) {
	kit.Handle(m, Pattern, kit.NoBody[request], func(ctx context.Context, req request) (Page, error) {
		ids, next, err := p.UserIDs(ctx, req.after, req.limit)
		if err != nil {
			return Page{}, err
		}
		page := Page{UserIDs: make([]string, len(ids)), Next: Encode(next)}
		for i, id := range ids {
			page.UserIDs[i] = Encode(id)
		}
		return page, nil
	}, http.StatusOK)
}

type request struct {
	after string
	limit int
}

// Bind reads the query.
func (q *request) Bind(r *http.Request) error {
	after, err := Decode(r.URL.Query().Get("after"))
	if err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	q.after, q.limit = after, participant.MaxUserIDs
	if text := r.URL.Query().Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > participant.MaxUserIDs {
			return problem.ErrInvalidRequest.Becausef("limit is not a number from 1 to %d", participant.MaxUserIDs)
		}
	}
	return nil
}

// Encode makes a user ID fit for a URL.
func Encode(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

// Decode is the ID again; padding and second spellings are refused.
func Decode(text string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return string(raw), err
}
