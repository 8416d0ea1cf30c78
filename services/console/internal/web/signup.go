package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/console/api"
	"github.com/shadowless/shadowless/services/console/internal/signup"
)

type signUpPage struct {
	layout
	Form  signup.Request
	Fault string
	Field string // the field that the fault is about
}

func (p *Pages) signUpForm(w http.ResponseWriter, r *http.Request) {
	if p.SignUp.URL == "" {
		p.signUpFailed(w, r, signup.Request{}, signup.ErrNotConfigured)
		return
	}
	p.render(w, r, http.StatusOK, "signup", signUpPage{layout: layout{Title: "Make an account", SignUp: true}})
}

func (p *Pages) signUp(w http.ResponseWriter, r *http.Request) {
	form := signup.Request{Email: r.PostFormValue("email"), Password: r.PostFormValue("password"), Name: r.PostFormValue("name")}
	if _, err := p.SignUp.SignUp(r.Context(), form, clientAddress(r, p.TrustedProxies)); err != nil {
		p.signUpFailed(w, r, form, err)
		return
	}
	p.back(w, r, Notice{"good", "Your account is made. Sign in with it now."})
}

func (p *Pages) signUpFailed(w http.ResponseWriter, r *http.Request, form signup.Request, err error) {
	telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
	form.Password = "" // is never sent back
	public := problem.From(err)
	page := signUpPage{layout: layout{Title: "Make an account", SignUp: p.SignUp.URL != ""}, Form: form, Fault: public.Sentence}
	switch {
	case errors.Is(err, signup.ErrEmail), errors.Is(err, signup.ErrEmailTaken), errors.Is(err, signup.ErrEmailDomain):
		page.Field = "email"
	case errors.Is(err, signup.ErrPasswordShort), errors.Is(err, signup.ErrPasswordLong):
		page.Field = "password"
	}
	p.render(w, r, public.Status, "signup", page)
}

// signUpCall is the JSON route's request.
type signUpCall struct {
	signup.Request
	from netip.Addr
}

func (p *Pages) decodeSignUp(r *http.Request) (signUpCall, error) {
	body, err := kit.JSON[api.SignUp](r)
	return signUpCall{signup.Request(body), clientAddress(r, p.TrustedProxies)}, err
}

func (p *Pages) signUpJSON(ctx context.Context, call signUpCall) (api.SignedUp, error) {
	id, err := p.SignUp.SignUp(ctx, call.Request, call.from)
	return api.SignedUp{UserID: id}, err
}
