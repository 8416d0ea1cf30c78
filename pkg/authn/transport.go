package authn

import (
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2"
)

// tokenFor returns the token for a request, and what drops it when it is refused.
type tokenFor func(*http.Request) (token *oauth2.Token, refused func(), err error)

// transport sends requests with a token, and once more with another if the
// first is refused.
type transport struct {
	token tokenFor
	base  http.RoundTripper
}

func newTransport(base http.RoundTripper, token tokenFor) *transport {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{token: token, base: base}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if leavesHost(req) {
		return t.base.RoundTrip(req)
	}
	resp, refused, err := t.send(req, req.Body)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	refused()
	body := req.Body
	if body != nil && body != http.NoBody {
		if req.GetBody == nil {
			return resp, nil
		}
		if body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // a request that cannot be repeated is answered by the refusal it got
		}
	}
	if err := resp.Body.Close(); err != nil {
		return nil, fmt.Errorf("close refused answer: %w", err)
	}
	resp, refused, err = t.send(req, body)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		refused() // the next request gets another chance, this one does not
	}
	return resp, err
}

func (t *transport) send(req *http.Request, body io.ReadCloser) (*http.Response, func(), error) {
	token, refused, err := t.token(req)
	if err != nil {
		if body != nil {
			_ = body.Close() // a RoundTripper closes the body, on errors too
		}
		return nil, nil, err
	}
	own := req.Clone(req.Context())
	own.Body = body
	token.SetAuthHeader(own)
	resp, err := t.base.RoundTrip(own)
	return resp, refused, err
}

// leavesHost reports whether a redirect led req away from where the caller
// sent it. http.Client takes the Authorization header off then; a RoundTripper
// must not put it back.
func leavesHost(req *http.Request) bool {
	first := req
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Host != req.URL.Host || first.URL.Scheme != req.URL.Scheme
}
