package machine

import (
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

type checkRequest struct {
	EntityType string               `json:"entityType"`
	EntityID   string               `json:"entityId"`
	Permission string               `json:"permission"`
	Resource   permissions.Resource `json:"resource"`
	APIKey     string               `json:"apiKey"`
}

type checkAnswer struct {
	Allowed     bool   `json:"allowed"`
	EntityType  string `json:"entityType"`
	EntityID    string `json:"entityId"`
	Permission  string `json:"permission"`
	SubjectType string `json:"subjectType"`
	SubjectID   string `json:"subjectId"`
}

// caller is who asks; nobody can be asked about but the caller.
type caller struct {
	kind, id   string
	tuples     []permissions.Tuple
	fullAccess bool
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) {
	request, err := reply.Body[checkRequest](r)
	if err != nil {
		reply.Own(w, http.StatusBadRequest, "invalid_request", "Invalid JSON in request body")
		return
	}
	c, ok := h.caller(w, r, request)
	if !ok {
		return
	}
	if request.EntityType == "" || request.EntityID == "" || request.Permission == "" {
		reply.Own(w, http.StatusBadRequest, "missing_fields", "entityType, entityId, and permission are required")
		return
	}
	allowed := c.fullAccess
	if !allowed {
		allowed, err = h.Model.Allowed(r.Context(), permissions.Question{
			SubjectType: c.kind, SubjectID: c.id, EntityType: request.EntityType, EntityID: request.EntityID, Permission: request.Permission,
			Resource: request.Resource, FlatResource: !h.Mode.Observed(), Now: h.Now(),
		}, c.tuples)
		if err != nil {
			h.failed(w, r, err)
			return
		}
	}
	reply.JSON(w, http.StatusOK, checkAnswer{
		Allowed: allowed, EntityType: request.EntityType, EntityID: request.EntityID, Permission: request.Permission,
		SubjectType: c.kind, SubjectID: c.id,
	})
}

// caller reads an API key (header or body) or a user's token. false: the answer
// is written.
func (h *Handler) caller(w http.ResponseWriter, r *http.Request, request checkRequest) (caller, bool) {
	secret := r.Header.Get("X-Api-Key")
	if secret == "" {
		secret = request.APIKey
	}
	if secret != "" {
		return h.keyCaller(w, r, secret, request.EntityType)
	}
	token := bearer(r)
	if token == "" {
		reply.Own(w, http.StatusUnauthorized, "unauthorized", "Missing authentication requirements")
		return caller{}, false
	}
	var c caller
	var err error
	if h.Mode.Observed() {
		// The bearer is never looked at: the session cookie beside it is what counts.
		if c, err = h.cookieCaller(r); errors.Is(err, sessions.ErrNotFound) {
			reply.Own(w, http.StatusUnauthorized, "unauthorized", "Missing authentication requirements")
			return caller{}, false
		}
	} else if c, err = h.tokenCaller(r, token); errors.Is(err, errToken) {
		reply.Own(w, http.StatusUnauthorized, "invalid_token", "The provided token is invalid or expired")
		return caller{}, false
	}
	if err != nil {
		h.failed(w, r, err)
		return caller{}, false
	}
	return c, true
}

func (h *Handler) keyCaller(w http.ResponseWriter, r *http.Request, secret, entityType string) (caller, bool) {
	key, ok := h.apiKey(w, r, secret)
	if !ok {
		return caller{}, false
	}
	client := permissions.ClientOf(entityType)
	if client != "" && client != key.ClientID {
		reply.Own(w, http.StatusForbidden, "forbidden", "API key cannot access permissions outside its client scope")
		return caller{}, false
	}
	tuples, err := permissions.OfAPIKey(r.Context(), h.Pool, key.ID)
	if err != nil {
		h.failed(w, r, err)
		return caller{}, false
	}
	return caller{kind: permissions.SubjectAPIKey, id: key.ID, tuples: tuples, fullAccess: key.FullAccess && client == key.ClientID}, true
}

func (h *Handler) cookieCaller(r *http.Request) (caller, error) {
	user, _, err := h.Browser.Current(r)
	if err != nil {
		return caller{}, err
	}
	return h.userCaller(r, user.ID, user.ActiveTenant)
}

// errToken is a bearer token that does not count.
var errToken = errors.New("the token is not usable")

// tokenCaller accepts access tokens (at+jwt) and session JWTs (no typ) whose
// session lives and whose user may sign in.
func (h *Handler) tokenCaller(r *http.Request, token string) (caller, error) {
	typ, claims, err := h.Keys.Verify(r.Context(), token)
	if err != nil {
		return caller{}, errors.Join(errToken, err)
	}
	text := func(name string) string {
		value, _ := claims[name].(string)
		return value
	}
	if typ != "at+jwt" && typ != "" || text("iss") != h.Base || text("tenant_id") == "" {
		return caller{}, errToken
	}
	session, err := sessions.ByID(r.Context(), h.Pool, text("sid"), h.Now())
	if errors.Is(err, sessions.ErrNotFound) || err == nil && session.UserID != text("sub") {
		return caller{}, errToken
	}
	if err != nil {
		return caller{}, err
	}
	user, err := users.ByID(r.Context(), h.Pool, session.UserID)
	if errors.Is(err, users.ErrNotFound) || err == nil && user.BannedAt(h.Now()) {
		return caller{}, errToken
	}
	if err != nil {
		return caller{}, err
	}
	return h.userCaller(r, user.ID, text("tenant_id"))
}

// userCaller holds what the user's grants give in one tenant.
func (h *Handler) userCaller(r *http.Request, userID, tenant string) (caller, error) {
	all, err := permissions.OfUser(r.Context(), h.Pool, userID)
	if err != nil {
		return caller{}, err
	}
	c := caller{kind: permissions.SubjectUser, id: userID}
	for _, t := range all {
		if t.TenantID == tenant {
			c.tuples = append(c.tuples, t)
		}
	}
	return c, nil
}
