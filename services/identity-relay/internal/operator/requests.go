package operator

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/erasures"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

type byID struct{ id uuid.UUID }

func (q *byID) Bind(r *http.Request) (err error) {
	if q.id, err = uuid.Parse(r.PathValue("id")); err != nil {
		return problem.ErrNotFound
	}
	return nil
}

type listErasures struct{ filter erasures.Filter }

func (q *listErasures) Bind(r *http.Request) (err error) {
	query := r.URL.Query()
	switch state := erasures.State(query.Get("state")); state {
	case "", erasures.Held, erasures.Grace, erasures.Requested, erasures.Complete:
		q.filter.State = state
	default:
		return problem.ErrInvalidRequest.Becausef("unknown state")
	}
	if late := query.Get("late"); late != "" {
		if q.filter.Late, err = strconv.ParseBool(late); err != nil {
			return problem.ErrInvalidRequest.Becausef("late is not a boolean")
		}
	}
	if after := query.Get("after"); after != "" {
		if q.filter.After, err = uuid.Parse(after); err != nil {
			return problem.ErrInvalidRequest.Becausef("after is not an erasure ID")
		}
	}
	q.filter.Limit, err = limitOf(r)
	return err
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, problem.ErrInvalidRequest.Becausef("limit is not 1 to %d", maxLimit)
	}
	return limit, nil
}

var kinds = map[string]authn.RevocationKind{
	api.KindUser: authn.RevokedUser, api.KindSession: authn.RevokedSession, api.KindToken: authn.RevokedToken,
	api.KindClient: authn.RevokedClient, api.KindBlock: authn.BlockedUser,
}

// kindOf reads a kind and checks the ID: every one of these obeys the rules of a
// user ID.
func kindOf(name, id string) (authn.RevocationKind, error) {
	kind, known := kinds[name]
	if !known {
		return 0, problem.ErrInvalidRequest.Becausef("unknown kind")
	}
	if err := identity.CheckUserID(id); err != nil {
		return 0, problem.ErrInvalidRequest.Because(err)
	}
	return kind, nil
}

type revoke struct {
	api.RevokeRequest
	kind authn.RevocationKind
}

func (q *revoke) Validate() (err error) {
	q.kind, err = kindOf(q.Kind, q.ID)
	return err
}

type lift struct {
	name string
	kind authn.RevocationKind
	id   string
}

func (q *lift) Bind(r *http.Request) error {
	id, err := userids.Decode(r.PathValue("id"))
	if err != nil {
		return problem.ErrInvalidRequest.Because(err)
	}
	q.name, q.id = r.PathValue("kind"), id
	q.kind, err = kindOf(q.name, id)
	return err
}
