// Package transport is the service's HTTP: the token endpoint's form, Auther's
// exchange, the key set and the metadata.
package transport

import (
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// maxFormSize fits two tokens of the largest size that is verified, many times.
const maxFormSize = 128 << 10

// once are the parameters that may be sent once (RFC 6749, section 3.2);
// `audience` and `resource` may be repeated (RFC 8693, section 2.1).
var once = []string{
	"grant_type", "scope", "client_id", "client_secret", "subject_token", "subject_token_type",
	"actor_token", "actor_token_type", "requested_token_type", "opaque_token", "tenant",
	"client_assertion", "client_assertion_type",
}

// parse reads a token request. Parameters come from the body alone.
func parse(w http.ResponseWriter, r *http.Request) (*exchange.Request, error) {
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, oauth.InvalidRequest("media_type", "The request body must be application/x-www-form-urlencoded.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormSize))
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, oauth.InvalidRequest("form_malformed", "The request body is malformed.")
	}
	for _, name := range once {
		if len(form[name]) > 1 {
			return nil, oauth.InvalidRequest("parameter_repeated", "A parameter is repeated.")
		}
	}
	req := &exchange.Request{
		GrantType: form.Get("grant_type"), Scopes: words(form.Get("scope")),
		Audiences: sent(form["audience"]), Resources: sent(form["resource"]),
		SubjectToken: form.Get("subject_token"), SubjectTokenType: form.Get("subject_token_type"),
		ActorToken: form.Get("actor_token"), ActorTokenType: form.Get("actor_token_type"),
		RequestedTokenType: form.Get("requested_token_type"),
		OpaqueToken:        form.Get("opaque_token"), Tenant: form.Get("tenant"),
		Address: address(r),
	}
	return req, credentials(r, form, req)
}

// checkQuery refuses what would end up in the logs of every proxy on the way.
func checkQuery(query string) error {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return oauth.InvalidRequest("query", "Parameters belong into the request body.")
	}
	for name := range values {
		if slices.Contains(once, name) || name == "api_key" || name == "apiKey" || name == "audience" || name == "resource" {
			return oauth.InvalidRequest("query", "Parameters belong into the request body.")
		}
	}
	return nil
}

// credentials reads RFC 6749, section 2.3.1: one method, not two.
func credentials(r *http.Request, form url.Values, req *exchange.Request) error {
	req.ClientID, req.ClientSecret = form.Get("client_id"), form.Get("client_secret")
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return nil
	}
	if len(header) > 1 || req.ClientSecret != "" || form.Get("client_assertion") != "" {
		return oauth.InvalidRequest("two_credentials", "More than one way of client authentication is used.")
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return oauth.InvalidClient("scheme")
	}
	id, err := url.QueryUnescape(user)
	if err != nil {
		return oauth.InvalidClient("basic_malformed")
	}
	secret, err := url.QueryUnescape(password)
	if err != nil {
		return oauth.InvalidClient("basic_malformed")
	}
	if id == "" {
		return oauth.InvalidClient("basic_malformed")
	}
	if req.ClientID != "" && req.ClientID != id {
		return oauth.InvalidRequest("two_clients", "The parameter client_id names another client.")
	}
	req.ClientID, req.ClientSecret = id, secret
	return nil
}

// words splits a scope; repetitions mean nothing.
func words(scope string) []string {
	var out []string
	for _, w := range strings.Fields(scope) {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// sent drops empty values: they count as omitted.
func sent(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
}

// address is the peer's, for the audit. Forwarded headers are not believed.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
