package account

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/users"
)

type signUpRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
	Username string `json:"username"`
	// Context is a registration context's slug.
	Context string `json:"context"`
}

type signUpAnswer struct {
	Token *string       `json:"token"`
	User  users.Summary `json:"user"`
}

// refusal is how an error of the domain is told.
type refusal struct {
	status        int
	code, message string
}

var refusals = map[error]refusal{
	lifecycle.ErrInvalidEmail:     {http.StatusBadRequest, "INVALID_EMAIL", "Invalid email"},
	lifecycle.ErrPasswordTooShort: {http.StatusBadRequest, "PASSWORD_TOO_SHORT", "Password too short"},
	lifecycle.ErrPasswordTooLong:  {http.StatusBadRequest, "PASSWORD_TOO_LONG", "Password too long"},
	lifecycle.ErrUnknownContext:   {http.StatusBadRequest, "UNKNOWN_REGISTRATION_CONTEXT", "Unknown registration context"},
	lifecycle.ErrEmailDomain:      {http.StatusForbidden, "EMAIL_DOMAIN_NOT_ALLOWED", "Email domain is not allowed for this registration context"},
	lifecycle.ErrCredentials:      {http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD", "Invalid email or password"},
	lifecycle.ErrNotVerified:      {http.StatusForbidden, "EMAIL_NOT_VERIFIED", "Email not verified"},
	lifecycle.ErrBanned:           {http.StatusForbidden, "BANNED_USER", "You have been banned from this application. Please contact support if you believe this is an error."},
	users.ErrEmailTaken:           {http.StatusUnprocessableEntity, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL", "User already exists. Use another email."},
	users.ErrUsernameTaken:        {http.StatusUnprocessableEntity, "USERNAME_IS_ALREADY_TAKEN", "Username is already taken. Please try another."},
}

// refuse tells a domain error; any other is a failure.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	for known, answer := range refusals {
		if errors.Is(err, known) {
			reply.Auth(w, answer.status, answer.code, answer.message)
			return
		}
	}
	h.failed(w, r, err)
}

func (h *Handler) signUp(w http.ResponseWriter, r *http.Request) {
	secret := r.Header.Get("X-Internal-Signup-Secret")
	if subtle.ConstantTimeCompare([]byte(secret), []byte(h.SignUpSecret)) != 1 {
		if h.Mode.Observed() {
			reply.Empty(w, http.StatusInternalServerError)
			return
		}
		reply.Auth(w, http.StatusForbidden, "SIGN_UP_FORBIDDEN", "Sign up needs the internal secret")
		return
	}
	request, err := reply.Body[signUpRequest](r)
	if err != nil {
		reply.Auth(w, http.StatusBadRequest, "INVALID_REQUEST_BODY", "Invalid request body")
		return
	}
	user, err := h.Browser.Life.SignUp(r.Context(), lifecycle.NewAccount{
		Email: request.Email, Password: request.Password, Name: request.Name, Username: request.Username, Context: request.Context,
	})
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, signUpAnswer{User: user.Summary()})
}
