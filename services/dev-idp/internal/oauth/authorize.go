package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/sessions"
	"github.com/shadowless/shadowless/services/dev-idp/internal/signin"
)

const authorizePath = "/api/auth/oauth2/authorize"

// Register adds the routes.
func (p *Provider) Register(mux *http.ServeMux) {
	mux.Handle(authorizePath, reply.Methods(p.authorize, http.MethodGet))
	mux.Handle("/api/auth/oauth2/token", reply.Methods(p.token, http.MethodPost))
	mux.Handle("/api/auth/oauth2/userinfo", reply.Methods(p.userinfo, http.MethodGet, http.MethodPost))
	mux.Handle("/api/auth/oauth2/register", reply.Methods(p.register, http.MethodPost))
	mux.Handle("/api/auth/.well-known/openid-configuration", reply.Methods(p.discovery, http.MethodGet))
	mux.Handle("/api/auth/jwks", reply.Methods(p.keySet, http.MethodGet))
	mux.Handle("/sign-in", reply.Methods(p.signIn, http.MethodPost))
}

// authorize sends a code to a signed-in user's client and anyone else to the
// sign-in form, which leads back here.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if err := r.ParseForm(); err != nil {
		reply.OAuth(w, http.StatusBadRequest, "invalid_request", "the query cannot be read")
		return
	}
	prompt := strings.Fields(r.Form.Get("prompt"))
	// A hint can only say whom to expect; who it is, the session says.
	r.Form.Del("id_token_hint")
	request, err := p.provider.NewAuthorizeRequest(ctx, r)
	if err != nil {
		p.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	user, session, err := p.Browser.Current(r)
	if err != nil && !errors.Is(err, sessions.ErrNotFound) {
		p.Log.ErrorContext(ctx, "the session cannot be read", "error", err)
		p.provider.WriteAuthorizeError(ctx, w, request, fosite.ErrServerError)
		return
	}
	if err != nil || p.mustSignIn(r.Form, prompt, session) {
		if slices.Contains(prompt, "none") {
			p.provider.WriteAuthorizeError(ctx, w, request, fosite.ErrLoginRequired)
			return
		}
		signin.Write(w, http.StatusOK, signin.Page{ReturnTo: returnTo(r.URL.Query())})
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	// What a client's tokens are for is configuration, not the client's wish.
	for _, audience := range request.GetClient().GetAudience() {
		request.GrantAudience(audience)
	}
	response, err := p.provider.NewAuthorizeResponse(ctx, request, &Session{
		UserID: user.ID, SessionID: session.ID, AuthTime: session.CreatedAt.UTC().Truncate(time.Second),
	})
	if err != nil {
		p.logged(r, "authorize", err)
		p.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	p.provider.WriteAuthorizeResponse(ctx, w, request, response)
}

// mustSignIn says whether a session is not enough: the client wants a fresh one.
func (p *Provider) mustSignIn(form url.Values, prompt []string, session sessions.Session) bool {
	if slices.Contains(prompt, "login") || slices.Contains(prompt, "select_account") {
		return true
	}
	seconds, err := strconv.ParseInt(form.Get("max_age"), 10, 32)
	return err == nil && seconds >= 0 && p.Now().Sub(session.CreatedAt) > time.Duration(seconds)*time.Second
}

// returnTo is the way back after the sign-in. What asked for the sign-in is left
// out, or the form would come again.
func returnTo(query url.Values) string {
	for _, name := range []string{"prompt", "max_age", "id_token_hint"} {
		query.Del(name)
	}
	return authorizePath + "?" + query.Encode()
}

// signIn takes the form.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request) {
	back := r.PostFormValue("return_to")
	if p.Browser.ForeignForm(r) || !strings.HasPrefix(back, authorizePath+"?") {
		signin.Write(w, http.StatusForbidden, signin.Page{Message: "Start again from the application that you want to sign in to."})
		return
	}
	page := signin.Page{ReturnTo: back, Email: r.PostFormValue("email")}
	client := browser.Client(r)
	if wait, ok := p.Attempts.Allow(client.Address); !ok {
		limit.Refuse(w, wait)
		return
	}
	_, session, err := p.Browser.Life.SignIn(r.Context(), page.Email, r.PostFormValue("password"), client)
	switch {
	case err == nil:
		p.Browser.Cookies.Set(w, session)
		http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // starts with our own path
	case errors.Is(err, lifecycle.ErrCredentials):
		page.Message = "The e-mail address or the password is wrong."
		signin.Write(w, http.StatusUnauthorized, page)
	case errors.Is(err, lifecycle.ErrNotVerified):
		page.Message = "The e-mail address is not verified yet."
		signin.Write(w, http.StatusForbidden, page)
	case errors.Is(err, lifecycle.ErrBanned):
		page.Message = "This account is banned."
		signin.Write(w, http.StatusForbidden, page)
	default:
		p.Log.ErrorContext(r.Context(), "sign-in failed", "error", err)
		page.Message = "Something went wrong. Try again."
		signin.Write(w, http.StatusInternalServerError, page)
	}
}

// logged keeps the cause of a failure that is the server's own.
func (p *Provider) logged(r *http.Request, step string, err error) {
	public := fosite.ErrorToRFC6749Error(err)
	if public.StatusCode() >= http.StatusInternalServerError {
		p.Log.ErrorContext(r.Context(), "an OAuth request failed", "step", step, "error", public.Error(), "cause", public.Debug())
	}
}
