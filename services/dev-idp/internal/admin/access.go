package admin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/shadowless/shadowless/services/dev-idp/internal/permissions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

type sessionsAnswer struct {
	Sessions []sessions.View `json:"sessions"`
}

func (h *Handler) listSessions(w http.ResponseWriter, r *http.Request, _ users.User) {
	request, ok := body(w, r, userRequest.complete)
	if !ok {
		return
	}
	live, err := sessions.OfUser(r.Context(), h.Browser.Life.Pool, request.UserID, h.Browser.Life.Now())
	if err != nil {
		h.failed(w, r, err)
		return
	}
	answer := sessionsAnswer{Sessions: make([]sessions.View, 0, len(live))}
	for _, s := range live {
		answer.Sessions = append(answer.Sessions, s.View())
	}
	reply.JSON(w, http.StatusOK, answer)
}

type sessionRequest struct {
	SessionToken string `json:"sessionToken"`
}

// revokeSession succeeds for a session that has ended already.
func (h *Handler) revokeSession(w http.ResponseWriter, r *http.Request, _ users.User) {
	request, ok := body(w, r, func(s sessionRequest) bool { return s.SessionToken != "" })
	if !ok {
		return
	}
	err := h.Browser.Life.EndSession(r.Context(), request.SessionToken)
	if errors.Is(err, sessions.ErrNotFound) {
		err = nil
	}
	h.succeeded(w, r, err)
}

func (h *Handler) revokeSessions(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, userRequest.complete); ok {
		h.succeeded(w, r, h.Browser.Life.EndSessions(r.Context(), request.UserID))
	}
}

type grantRequest struct {
	SubjectType string `json:"subjectType"`
	SubjectID   string `json:"subjectId"`
	EntityType  string `json:"entityType"`
	EntityID    string `json:"entityId"`
	Relation    string `json:"relation"`
	TenantID    string `json:"tenantId"`
}

func (g grantRequest) complete() bool {
	return slices.Contains([]string{permissions.SubjectUser, permissions.SubjectGroup, permissions.SubjectAPIKey}, g.SubjectType) &&
		g.SubjectID != "" && g.EntityType != "" && g.Relation != ""
}

// tuple fills what the request leaves open: every entity, the default tenant.
func (h *Handler) tuple(g grantRequest) permissions.Tuple {
	if g.EntityID == "" {
		g.EntityID = permissions.AnyEntity
	}
	if g.TenantID == "" {
		g.TenantID = h.Browser.Life.Settings.DefaultTenant
	}
	return permissions.Tuple{
		SubjectType: g.SubjectType, SubjectID: g.SubjectID, EntityType: g.EntityType, EntityID: g.EntityID,
		Relation: g.Relation, TenantID: g.TenantID,
	}
}

func (h *Handler) grant(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, grantRequest.complete); ok {
		h.succeeded(w, r, h.Browser.Life.Grant(r.Context(), h.tuple(request)))
	}
}

func (h *Handler) revokeGrant(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, grantRequest.complete); ok {
		h.succeeded(w, r, h.Browser.Life.Revoke(r.Context(), h.tuple(request)))
	}
}

type memberRequest struct {
	GroupID string `json:"groupId"`
	UserID  string `json:"userId"`
}

func (m memberRequest) complete() bool { return m.GroupID != "" && m.UserID != "" }

func (h *Handler) addMember(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, memberRequest.complete); ok {
		h.succeeded(w, r, h.Browser.Life.AddMember(r.Context(), request.GroupID, request.UserID))
	}
}

func (h *Handler) removeMember(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, memberRequest.complete); ok {
		h.succeeded(w, r, h.Browser.Life.RemoveMember(r.Context(), request.GroupID, request.UserID))
	}
}
