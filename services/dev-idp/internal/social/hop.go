package social

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/lifecycle"
	"github.com/shadowless/shadowless/services/dev-idp/internal/random"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
	"github.com/shadowless/shadowless/services/dev-idp/internal/signin"
)

const (
	stateCookie   = "better-auth.social_state"
	stateLifetime = 10 * time.Minute
	maxProfile    = 16 << 10 // bytes
	// returnPrefix is the only place that a sign-in leads back to.
	returnPrefix = "/api/auth/oauth2/authorize?"
)

// Hop is our side: to the upstream and back with a session.
type Hop struct {
	Base    string
	Browser *browser.Browser
	Client  *http.Client
	Key     []byte // signs the state that the browser carries
	Log     *slog.Logger
	Now     func() time.Time
}

// CallbackURL is where the upstream sends the browser back to.
func CallbackURL(base string) string { return base + "/api/auth/callback/" + ProviderID }

// Register adds the hop's routes.
func (h *Hop) Register(mux *http.ServeMux) {
	mux.Handle("/api/auth/sign-in/social", reply.Methods(h.leave, http.MethodPost))
	mux.Handle("/api/auth/callback/"+ProviderID, reply.Methods(h.back, http.MethodGet))
}

// state is what the browser carries over the hop, signed.
type state struct {
	Value    string    `json:"value"`
	Verifier string    `json:"verifier"`
	ReturnTo string    `json:"return_to"`
	Until    time.Time `json:"until"`
}

func (h *Hop) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: clientID, RedirectURL: CallbackURL(h.Base),
		Endpoint: oauth2.Endpoint{
			AuthURL: h.Base + "/umbrella/authorize", TokenURL: h.Base + "/umbrella/token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func (h *Hop) leave(w http.ResponseWriter, r *http.Request) {
	returnTo := r.PostFormValue("return_to")
	if h.Browser.ForeignForm(r) || !strings.HasPrefix(returnTo, returnPrefix) {
		signin.Write(w, http.StatusForbidden, signin.Page{Message: "Start again from the application that you want to sign in to."})
		return
	}
	s := state{Value: random.Token(), Verifier: oauth2.GenerateVerifier(), ReturnTo: returnTo, Until: h.Now().Add(stateLifetime)}
	sealed, err := h.seal(s)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	http.SetCookie(w, h.cookie(sealed, int(stateLifetime/time.Second)))
	http.Redirect(w, r, h.config().AuthCodeURL(s.Value, oauth2.S256ChallengeOption(s.Verifier)), http.StatusSeeOther)
}

func (h *Hop) back(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(stateCookie)
	if err != nil {
		h.startAgain(w)
		return
	}
	http.SetCookie(w, h.cookie("", -1))
	s, err := h.open(cookie.Value)
	if err != nil || !hmac.Equal([]byte(s.Value), []byte(r.URL.Query().Get("state"))) {
		h.startAgain(w)
		return
	}
	person, err := h.fetch(r.Context(), r.URL.Query().Get("code"), s.Verifier)
	if err != nil {
		h.failed(w, r, err)
		return
	}
	_, session, err := h.Browser.Life.SignInWithUpstream(r.Context(), lifecycle.Upstream{
		Provider: ProviderID, AccountID: person.Subject, Email: person.Email, Name: person.Name,
	}, browser.Client(r))
	switch {
	case err == nil:
		h.Browser.Cookies.Set(w, session)
		http.Redirect(w, r, s.ReturnTo, http.StatusSeeOther)
	case errors.Is(err, lifecycle.ErrBanned):
		signin.Write(w, http.StatusForbidden, signin.Page{Message: "This account is banned.", ReturnTo: s.ReturnTo})
	case errors.Is(err, lifecycle.ErrInvalidEmail):
		signin.Write(w, http.StatusBadRequest, signin.Page{Message: "Umbrella ID sent no usable e-mail address.", ReturnTo: s.ReturnTo})
	default:
		h.failed(w, r, err)
	}
}

// fetch trades the code, server to server, and reads the profile.
func (h *Hop) fetch(ctx context.Context, code, verifier string) (profile, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, h.Client)
	token, err := h.config().Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return profile{}, fmt.Errorf("trade the upstream's code: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Base+"/umbrella/userinfo", nil)
	if err != nil {
		return profile{}, fmt.Errorf("make the request: %w", err)
	}
	token.SetAuthHeader(request)
	response, err := h.Client.Do(request)
	if err != nil {
		return profile{}, fmt.Errorf("read the upstream's profile: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // opened for reading
	if response.StatusCode != http.StatusOK {
		return profile{}, fmt.Errorf("the upstream's profile answered %d", response.StatusCode)
	}
	var person profile
	if err := json.NewDecoder(io.LimitReader(response.Body, maxProfile)).Decode(&person); err != nil {
		return profile{}, fmt.Errorf("decode the upstream's profile: %w", err)
	}
	if person.Subject == "" {
		return profile{}, errors.New("the upstream named nobody")
	}
	return person, nil
}

func (h *Hop) seal(s state) (string, error) {
	content, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode the state: %w", err)
	}
	encoded := base64.RawURLEncoding.EncodeToString(content)
	return encoded + "." + h.mac(encoded), nil
}

var errState = errors.New("the state is not ours or too old")

func (h *Hop) open(sealed string) (state, error) {
	encoded, mac, _ := strings.Cut(sealed, ".")
	if !hmac.Equal([]byte(mac), []byte(h.mac(encoded))) {
		return state{}, errState
	}
	content, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return state{}, errState
	}
	var s state
	if err := json.Unmarshal(content, &s); err != nil || h.Now().After(s.Until) {
		return state{}, errState
	}
	return s, nil
}

// mac is separated from the session cookie's by its prefix.
func (h *Hop) mac(text string) string {
	sum := hmac.New(sha256.New, h.Key)
	sum.Write([]byte("social-state\x00" + text))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

func (h *Hop) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: stateCookie, Value: value, Path: "/api/auth/callback/", MaxAge: maxAge,
		HttpOnly: true, Secure: strings.HasPrefix(h.Base, "https:"), SameSite: http.SameSiteLaxMode,
	}
}

func (h *Hop) startAgain(w http.ResponseWriter) {
	signin.Write(w, http.StatusBadRequest, signin.Page{Message: "This sign-in was not started here, or too long ago. Start again from the application."})
}

func (h *Hop) failed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.ErrorContext(r.Context(), "social sign-in failed", "error", err)
	signin.Write(w, http.StatusBadGateway, signin.Page{Message: "Umbrella ID could not be asked. Try again."})
}
