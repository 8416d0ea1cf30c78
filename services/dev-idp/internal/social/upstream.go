// Package social is "Continue with Umbrella ID": a tiny identity provider that
// exists to be upstream of this one, and our side of the hop to it.
package social

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/signin"
)

// ProviderID names the upstream in linked accounts and in the callback's path.
const ProviderID = "umbrella"

const (
	clientID     = "dev-idp"
	codeLifetime = 2 * time.Minute
)

// Upstream is the fake provider. It keeps no accounts: whoever types an address
// is that person, which is what "fake" means.
type Upstream struct {
	Pool *pgxpool.Pool
	// Callback is the one redirect URI of its one client.
	Callback string
	Now      func() time.Time
}

// profile is what it tells of a person; Subject is stable for an address.
type profile struct {
	Subject string `json:"sub"`
	Email   string `json:"email"`
	Name    string `json:"name"`
}

// Register adds the upstream's routes.
func (u *Upstream) Register(mux *http.ServeMux) {
	mux.Handle("/umbrella/authorize", reply.Methods(u.authorize, http.MethodGet, http.MethodPost))
	mux.Handle("/umbrella/token", reply.Methods(u.token, http.MethodPost))
	mux.Handle("/umbrella/userinfo", reply.Methods(u.userinfo, http.MethodGet))
}

func (u *Upstream) authorize(w http.ResponseWriter, r *http.Request) {
	request := signin.Upstream{
		ClientID: r.FormValue("client_id"), RedirectURI: r.FormValue("redirect_uri"),
		State: r.FormValue("state"), Challenge: r.FormValue("code_challenge"),
	}
	if request.ClientID != clientID || request.RedirectURI != u.Callback || request.Challenge == "" {
		reply.OAuth(w, http.StatusBadRequest, "invalid_request", "unknown client or redirect URI")
		return
	}
	name, email := strings.TrimSpace(r.PostFormValue("name")), strings.ToLower(strings.TrimSpace(r.PostFormValue("email")))
	if r.Method != http.MethodPost || name == "" || email == "" {
		signin.WriteUpstream(w, request)
		return
	}
	sum := sha256.Sum256([]byte(email))
	code := random.Token()
	person := profile{Subject: "umbrella|" + hex.EncodeToString(sum[:8]), Email: email, Name: name}
	if err := u.store(r.Context(), code, request.RedirectURI, request.Challenge, person); err != nil {
		reply.OAuth(w, http.StatusInternalServerError, "server_error", "the sign-in could not be kept")
		return
	}
	back := url.Values{"code": {code}, "state": {request.State}}
	http.Redirect(w, r, u.Callback+"?"+back.Encode(), http.StatusSeeOther)
}

// token trades a code, once, for an access token that reads one profile.
func (u *Upstream) token(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	person, err := u.take(r.Context(), r.PostFormValue("code"), r.PostFormValue("redirect_uri"), base64.RawURLEncoding.EncodeToString(sum[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		reply.OAuth(w, http.StatusBadRequest, "invalid_grant", "the code is not valid")
		return
	}
	token := random.Token()
	if err == nil {
		err = u.store(r.Context(), token, "", "", person)
	}
	if err != nil {
		reply.OAuth(w, http.StatusInternalServerError, "server_error", "the code could not be traded")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	reply.JSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}{token, "Bearer", int(codeLifetime / time.Second)})
}

func (u *Upstream) userinfo(w http.ResponseWriter, r *http.Request) {
	person, err := u.take(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "", "")
	if err != nil {
		reply.OAuth(w, http.StatusUnauthorized, "invalid_token", "invalid access token")
		return
	}
	reply.JSON(w, http.StatusOK, person)
}

func (u *Upstream) store(ctx context.Context, secret, redirectURI, challenge string, person profile) error {
	content, err := json.Marshal(person)
	if err != nil {
		return fmt.Errorf("encode a profile: %w", err)
	}
	_, err = u.Pool.Exec(ctx, `INSERT INTO social_codes (handle, redirect_uri, challenge, profile, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		handleOf(secret), redirectURI, challenge, content, u.Now().Add(codeLifetime))
	return err
}

// take reads and removes: a code and a token are good for one use.
func (u *Upstream) take(ctx context.Context, secret, redirectURI, challenge string) (profile, error) {
	var content []byte
	err := u.Pool.QueryRow(ctx, `DELETE FROM social_codes
		WHERE handle = $1 AND redirect_uri = $2 AND challenge = $3 AND expires_at > $4 RETURNING profile`,
		handleOf(secret), redirectURI, challenge, u.Now()).Scan(&content)
	if err != nil {
		return profile{}, err
	}
	var person profile
	return person, json.Unmarshal(content, &person)
}

// Prune forgets codes that nobody came for.
func (u *Upstream) Prune(ctx context.Context) error {
	if _, err := u.Pool.Exec(ctx, `DELETE FROM social_codes WHERE expires_at <= $1`, u.Now()); err != nil {
		return fmt.Errorf("prune social codes: %w", err)
	}
	return nil
}

func handleOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
