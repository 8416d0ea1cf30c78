// Package transport is the service's HTTP: the OAuth endpoints' forms, Auther's
// exchange, the key set and the metadata.
package transport

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
)

const (
	// maxFormSize fits two tokens of the largest size that is verified, many times.
	maxFormSize = 128 << 10
	// maxParameters is several times what any request of these endpoints needs.
	maxParameters = 256
)

// once are the parameters that may be sent once (RFC 6749, section 3.2);
// `audience` and `resource` may be repeated (RFC 8693, section 2.1).
var once = []string{
	"grant_type", "scope", "client_id", "client_secret", "subject_token", "subject_token_type",
	"actor_token", "actor_token_type", "requested_token_type", "opaque_token", "tenant",
	"client_assertion", "client_assertion_type", "token", "token_type_hint",
}

// parse reads a token request.
func parse(w http.ResponseWriter, r *http.Request) (*exchange.Request, error) {
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	req := &exchange.Request{
		GrantType: form.Get("grant_type"), Scopes: words(form.Get("scope")),
		Audiences: sent(form["audience"]), Resources: sent(form["resource"]),
		SubjectToken: form.Get("subject_token"), SubjectTokenType: form.Get("subject_token_type"),
		ActorToken: form.Get("actor_token"), ActorTokenType: form.Get("actor_token_type"),
		RequestedTokenType: form.Get("requested_token_type"),
		OpaqueToken:        form.Get("opaque_token"), Tenant: form.Get("tenant"),
	}
	req.Credential, err = credential(r, form)
	return req, err
}

// readForm reads the form that every OAuth endpoint takes. Parameters come from
// the body alone.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
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
	body := string(raw)
	if strings.Count(body, "&") >= maxParameters {
		return nil, oauth.InvalidRequest("too_many_parameters", "The request has too many parameters.")
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, oauth.InvalidRequest("form_malformed", "The request body is malformed.")
	}
	for _, name := range once {
		if len(form[name]) > 1 {
			return nil, oauth.InvalidRequest("parameter_repeated", "A parameter is repeated.")
		}
	}
	return form, nil
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

// words splits a scope; repetitions mean nothing.
func words(scope string) []string {
	var out []string
	for w := range strings.FieldsSeq(scope) {
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

// address is the caller's, "" where it is not certain.
func address(r *http.Request) string { return origin.FromContext(r.Context()).String() }
