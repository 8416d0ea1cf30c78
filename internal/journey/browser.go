package journey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/problem"
)

// maxAnswer bounds what the demo reads of an answer, in bytes.
const maxAnswer = 1 << 20

// browser is a person's user agent: it keeps cookies and does not follow
// redirects to the demo's own address.
type browser struct {
	client *http.Client
	idp    string // base URL
}

func newBrowser(idp string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &browser{idp: idp, client: &http.Client{Timeout: eventually, Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), devstack.DemoRedirectURL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}, nil
}

// signIn opens a session at the IdP.
func (b *browser) signIn(ctx context.Context, email, password string) error {
	return b.post(ctx, b.idp+"/api/auth/sign-in/email", map[string]string{"email": email, "password": password})
}

// application is the demo at the IdP.
func application(idp, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: devstack.DemoClient, ClientSecret: secret, RedirectURL: devstack.DemoRedirectURL,
		Scopes: []string{"openid", "profile", "email", "offline_access"},
		Endpoint: oauth2.Endpoint{
			AuthURL: idp + "/api/auth/oauth2/authorize", TokenURL: idp + "/api/auth/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

// authorize asks for a code with the session that signIn opened and trades it.
func (b *browser) authorize(ctx context.Context, secret string) (*oauth2.Token, error) {
	app := application(b.idp, secret)
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	target := app.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", rand.Text()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	res, err := b.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // not read
	back, err := res.Location()
	if err != nil {
		return nil, fmt.Errorf("authorize: the IdP answered %d and no redirect", res.StatusCode)
	}
	if back.Query().Get("state") != state {
		return nil, errors.New("authorize: the state that came back is not ours")
	}
	if code := back.Query().Get("error"); code != "" {
		return nil, fmt.Errorf("authorize: %s", code)
	}
	token, err := app.Exchange(context.WithValue(ctx, oauth2.HTTPClient, b.client), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, fmt.Errorf("trade the code: %w", err)
	}
	return token, nil
}

// statusError is an answer that was not 2xx.
type statusError struct {
	status int
	code   string
}

func (e *statusError) Error() string { return fmt.Sprintf("answered %d %s", e.status, e.code) }

// status is the HTTP status of err, 0 when there was no answer.
func status(err error) int {
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.status
	}
	return 0
}

// unreachable tells that nobody answered at all.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// post sends JSON; only the status of the answer matters.
func (b *browser) post(ctx context.Context, target string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	// A cookie POST needs an origin that the server trusts: its own.
	if u, err := url.Parse(target); err == nil {
		req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	}
	return do(b.client, req, nil)
}

func (b *browser) get(ctx context.Context, target string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	return do(b.client, req, answer)
}

// do sends req and decodes a 2xx answer.
func do(client *http.Client, req *http.Request, answer any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read whole
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		var doc problem.Document
		_ = json.Unmarshal(raw, &doc) // an answer without a code has none
		return &statusError{status: res.StatusCode, code: doc.Code}
	}
	if answer == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	}
	return nil
}
