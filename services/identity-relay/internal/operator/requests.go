package operator

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/kit"
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
	q.id, err = kit.PathID(r, problem.ErrNotFound)
	return err
}

type listErasures struct {
	filter erasures.Filter
	userID string
}

func (q *listErasures) Bind(r *http.Request) (err error) {
	query := r.URL.Query()
	switch state := erasures.State(query.Get("state")); state {
	case "", erasures.Held, erasures.Grace, erasures.Requested, erasures.Complete, erasures.Withdrawn:
		q.filter.State = state
	default:
		return problem.ErrInvalidRequest.Becausef("unknown state")
	}
	if late := query.Get("late"); late != "" {
		if q.filter.Late, err = strconv.ParseBool(late); err != nil {
			return problem.ErrInvalidRequest.Becausef("late is not a boolean")
		}
	}
	if user := query.Get("user"); user != "" {
		if q.userID, err = userids.Decode(user); err != nil || identity.CheckUserID(q.userID) != nil {
			return problem.ErrInvalidRequest.Becausef("user is not a user ID in base64url")
		}
	}
	if q.filter.After, err = afterOf(r); err != nil {
		return err
	}
	q.filter.Limit, err = limitOf(r)
	return err
}

// afterOf reads where a page begins: behind the last ID of the one before.
func afterOf(r *http.Request) (after uuid.UUID, err error) {
	if text := r.URL.Query().Get("after"); text != "" {
		if after, err = uuid.Parse(text); err != nil {
			return after, problem.ErrInvalidRequest.Becausef("after is not an ID")
		}
	}
	return after, nil
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
