package machine

import (
	"net/http"
	"slices"

	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// maxLookup bounds one batch.
const maxLookup = 200

// fieldEmail asks for e-mail addresses beside names and pictures.
const fieldEmail = "email"

type lookupRequest struct {
	IDs    []string `json:"ids"`
	Fields []string `json:"fields"`
}

type profile struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Image *string `json:"image"`
	Email string  `json:"email,omitempty"`
}

type lookupAnswer struct {
	Users []profile `json:"users"`
}

// lookup gives display data for a batch of user IDs. It is this provider's own
// route: the original looks up one user at a time, for an administrator's session.
// Unknown IDs are left out.
func (h *Handler) lookup(w http.ResponseWriter, r *http.Request) {
	secret := r.Header.Get("X-Api-Key")
	if secret == "" {
		reply.Own(w, http.StatusUnauthorized, "unauthorized", "Missing authentication requirements")
		return
	}
	if _, ok := h.apiKey(w, r, secret); !ok {
		return
	}
	request, err := reply.Body[lookupRequest](r)
	if err != nil {
		reply.Own(w, http.StatusBadRequest, "invalid_request", "Invalid JSON in request body")
		return
	}
	if len(request.IDs) > maxLookup {
		reply.Own(w, http.StatusBadRequest, "too_many_ids", "At most 200 ids can be looked up at once")
		return
	}
	found, err := users.ByIDs(r.Context(), h.Pool, request.IDs)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	answer := lookupAnswer{Users: make([]profile, 0, len(found))}
	for _, u := range found {
		p := profile{ID: u.ID, Name: u.Name, Image: u.Image}
		if slices.Contains(request.Fields, fieldEmail) {
			p.Email = u.Email
		}
		answer.Users = append(answer.Users, p)
	}
	reply.JSON(w, http.StatusOK, answer)
}
