package admin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

// defaultLimit and maxLimit of one page of users.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

type listAnswer struct {
	Users  []users.Full `json:"users"`
	Total  int          `json:"total"`
	Limit  *int         `json:"limit,omitempty"`
	Offset *int         `json:"offset,omitempty"`
}

func (h *Handler) listUsers(w http.ResponseWriter, r *http.Request, _ users.User) {
	query := r.URL.Query()
	limit, limitErr := number(query.Get("limit"))
	offset, offsetErr := number(query.Get("offset"))
	if limitErr != nil || offsetErr != nil {
		reply.Auth(w, http.StatusBadRequest, "INVALID_QUERY", "Invalid limit or offset")
		return
	}
	page := users.Page{Limit: limit, Offset: offset, SortBy: query.Get("sortBy"), Descending: query.Get("sortDirection") == "desc"}
	if page.Limit == 0 {
		page.Limit = defaultLimit
	}
	page.Limit = min(page.Limit, maxLimit)
	found, total, err := users.List(r.Context(), h.Browser.Life.Pool, page)
	if errors.Is(err, users.ErrSort) {
		reply.Auth(w, http.StatusBadRequest, "INVALID_QUERY", "Invalid sortBy")
		return
	}
	if err != nil {
		h.failed(w, r, err)
		return
	}
	answer := listAnswer{Users: make([]users.Full, 0, len(found)), Total: total}
	for _, u := range found {
		answer.Users = append(answer.Users, u.Full())
	}
	// The real server leaves a zero out; the documentation always has both.
	if !h.Mode.Observed() || limit != 0 {
		answer.Limit = &page.Limit
	}
	if !h.Mode.Observed() || offset != 0 {
		answer.Offset = &page.Offset
	}
	reply.JSON(w, http.StatusOK, answer)
}

// number reads a count; "" is 0.
func number(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

func (h *Handler) getUser(w http.ResponseWriter, r *http.Request, _ users.User) {
	user, err := users.ByID(r.Context(), h.Browser.Life.Pool, r.URL.Query().Get("id"))
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, user.Full())
}

type banRequest struct {
	UserID    string  `json:"userId"`
	Reason    *string `json:"banReason"`
	ExpiresIn int64   `json:"banExpiresIn"` // seconds; 0 is for good
}

type userAnswer struct {
	User users.Full `json:"user"`
}

func (h *Handler) banUser(w http.ResponseWriter, r *http.Request, admin users.User) {
	request, ok := body(w, r, func(b banRequest) bool { return b.UserID != "" && b.ExpiresIn >= 0 })
	if !ok {
		return
	}
	if request.UserID == admin.ID {
		reply.Auth(w, http.StatusBadRequest, "YOU_CANNOT_BAN_YOURSELF", "You cannot ban yourself")
		return
	}
	user, err := h.Browser.Life.Ban(r.Context(), request.UserID, request.Reason, time.Duration(request.ExpiresIn)*time.Second)
	h.answerUser(w, r, user, err)
}

type userRequest struct {
	UserID string `json:"userId"`
}

func (u userRequest) complete() bool { return u.UserID != "" }

func (h *Handler) unbanUser(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, userRequest.complete); ok {
		user, err := h.Browser.Life.Unban(r.Context(), request.UserID)
		h.answerUser(w, r, user, err)
	}
}

func (h *Handler) verifyUser(w http.ResponseWriter, r *http.Request, _ users.User) {
	if request, ok := body(w, r, userRequest.complete); ok {
		user, err := h.Browser.Life.Verify(r.Context(), request.UserID)
		h.answerUser(w, r, user, err)
	}
}

func (h *Handler) removeUser(w http.ResponseWriter, r *http.Request, admin users.User) {
	request, ok := body(w, r, userRequest.complete)
	if !ok {
		return
	}
	if request.UserID == admin.ID {
		reply.Auth(w, http.StatusBadRequest, "YOU_CANNOT_REMOVE_YOURSELF", "You cannot remove yourself")
		return
	}
	h.succeeded(w, r, h.Browser.Life.Remove(r.Context(), request.UserID))
}

func (h *Handler) answerUser(w http.ResponseWriter, r *http.Request, user users.User, err error) {
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, userAnswer{User: user.Full()})
}

func (h *Handler) succeeded(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]bool{"success": true})
}
