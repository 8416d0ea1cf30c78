package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// answer of an endpoint.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

func (a answer) text(name string) string { s, _ := a.body[name].(string); return s }

func (a answer) token(t *testing.T) string {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.raw)
	require.NotEmpty(t, a.text("access_token"), a.raw)
	return a.text("access_token")
}

// description is what RFC 6749, section 5.2 allows in error_description.
var description = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

// refused checks an OAuth error: A3 and A17 hold for each.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.raw)
	require.Equal(t, code, a.text("error"), a.raw)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Regexp(t, description, a.text("error_description"))
	require.NotContains(t, a.raw, "access_token")
}

// How the tests ask.
var (
	basic       = tokenexchangetest.Basic
	pairs       = tokenexchangetest.Pairs
	credentials = tokenexchangetest.Credentials
	exchange    = tokenexchangetest.Exchange
)

// authorize puts a credential into a request; nil puts none.
type authorize = func(*http.Request)

func bearer(token string) authorize {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// send posts to the token endpoint of the first replica.
func (d *deployment) send(t *testing.T, who authorize, form url.Values) answer {
	t.Helper()
	return d.post(t, d.a.url+"/oauth/token", who, form)
}

func (d *deployment) post(t *testing.T, to string, who authorize, form url.Values) answer {
	t.Helper()
	r := request(t, http.MethodPost, to, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if who != nil {
		who(r)
	}
	return d.do(t, r, secretsIn(form)...)
}

func request(t *testing.T, method, to, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	require.NoError(t, err)
	return r
}

// client follows nothing and keeps no more connections than there are tests.
var client = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request to a replica, and checks that the line which it left in the
// log has none of the secrets that were sent or answered.
func (d *deployment) do(t *testing.T, r *http.Request, secrets ...string) answer {
	t.Helper()
	id := uuid.NewString()
	r.Header.Set("X-Request-Id", id)
	resp, err := client.Do(r)
	require.NoError(t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // a document without a body is one too
	if resp.Header.Get("X-Request-Id") != id {
		return a // net/http itself refused it: nothing saw it, nothing logged it
	}
	line := d.journal.of(t, id)
	for _, name := range []string{"access_token", "token", "api_key"} {
		secrets = append(secrets, a.text(name))
	}
	for _, secret := range append(secrets, headerSecrets(r)...) {
		if len(secret) >= minSecret {
			require.False(t, strings.Contains(line, secretPart(secret)), "a secret is in the log line of a request") //nolint:testifylint // a failure must not print the secret
		}
	}
	return a
}

// secretsIn a form: what proves something.
func secretsIn(form url.Values) []string {
	var out []string
	for _, name := range []string{"client_secret", "client_assertion", "subject_token", "actor_token", "opaque_token", "token"} {
		out = append(out, form[name]...)
	}
	return out
}

func headerSecrets(r *http.Request) []string {
	var out []string
	for _, value := range r.Header.Values("Authorization") {
		_, credential, _ := strings.Cut(value, " ")
		out = append(out, credential)
		if raw, err := base64.StdEncoding.DecodeString(credential); err == nil {
			_, password, _ := strings.Cut(string(raw), ":")
			out = append(out, password)
			if decoded, err := url.QueryUnescape(password); err == nil {
				out = append(out, decoded)
			}
		}
	}
	return out
}

const (
	typePrefix = "urn:ietf:params:oauth:token-type:"
	idToken    = typePrefix + "id_token"
)

// part of a token, read without verifying it.
func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	return tokenexchangetest.Part(t, token, i)
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}
