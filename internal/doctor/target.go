package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// Target is the deployment and who examines it.
type Target struct {
	// TokenExchangeURL is the base URL of token-exchange.
	TokenExchangeURL string
	// ClientID and APIKey are the operator's: it may manage clients.
	ClientID, APIKey string
	// HTTPClient trusts the deployment's certificates.
	HTTPClient *http.Client
	// Admin manages clients as the operator.
	Admin *api.Admin
	// UntilExpired also waits for a token to expire, about a quarter of an hour.
	UntilExpired bool
	// Progress is told what is waited for; nil: nobody is.
	Progress func(string)
}

// probe sends one thing that must be refused.
type probe struct {
	sent string
	// refusals are the statuses that refuse it.
	refusals []int
	send     func(ctx context.Context) (*http.Request, error)
}

const maxAnswer = 1 << 20

// code is what may be printed of an answer's error: nothing that was echoed.
var code = regexp.MustCompile(`^[a-z][a-z_-]{1,40}$`)

var errSetUp = errors.New("the doctor could not prepare its probes")

// try sends a probe and judges the answer.
func (t Target) try(ctx context.Context, p probe) Result {
	r := Result{Sent: p.sent}
	req, err := p.send(ctx)
	if err != nil {
		r.Verdict, r.Answer = Unclear, "the request could not be made"
		return r
	}
	resp, err := t.HTTPClient.Do(req)
	if err != nil {
		// The error may quote the URL, and a probe's URL may hold a key.
		r.Verdict, r.Answer = Unclear, "no answer"
		return r
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		r.Verdict, r.Answer = Unclear, "the answer broke off"
		return r
	}
	r.Verdict, r.Answer = judge(p, resp.StatusCode, raw)
	return r
}

func judge(p probe, status int, raw []byte) (Verdict, string) {
	var body struct {
		Error       string `json:"error"`
		Code        string `json:"code"`
		AccessToken string `json:"access_token"`
		Token       string `json:"token"`
		Active      *bool  `json:"active"`
	}
	_ = json.Unmarshal(raw, &body) // not every refusal is JSON
	answer := strconv.Itoa(status)
	switch {
	case code.MatchString(body.Error):
		answer += " " + body.Error
	case code.MatchString(body.Code):
		answer += " " + body.Code
	}
	if body.AccessToken != "" || body.Token != "" || (body.Active != nil && *body.Active) {
		return Accepted, answer
	}
	if slices.Contains(p.refusals, status) {
		return Refused, answer
	}
	if body.Active != nil && !*body.Active && status == http.StatusOK {
		return Refused, "inactive"
	}
	if status < http.StatusMultipleChoices {
		return Accepted, answer
	}
	return Unclear, answer
}

// withoutRedirects is the client that shows a redirect instead of following it.
func withoutRedirects(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// metadata is what is needed of the issuer's.
type metadata struct {
	Issuer                string `json:"issuer"`
	TokenEndpoint         string `json:"token_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`
}

const wellKnown = "/.well-known/oauth-authorization-server"

// discover reads the metadata. Endpoints are probed at the target's own address:
// the issuer's may be another replica's.
func (t Target) discover(ctx context.Context) (metadata, error) {
	var m metadata
	if err := t.get(ctx, t.base()+wellKnown, &m); err != nil {
		return m, fmt.Errorf("%w: read the metadata: %w", errSetUp, err)
	}
	for _, endpoint := range []*string{&m.TokenEndpoint, &m.JWKSURI, &m.IntrospectionEndpoint, &m.RevocationEndpoint} {
		if rest, ok := strings.CutPrefix(*endpoint, strings.TrimRight(m.Issuer, "/")); ok {
			*endpoint = t.base() + rest
		}
	}
	return m, nil
}

func (t Target) base() string { return strings.TrimRight(t.TokenExchangeURL, "/") }

func (t Target) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := t.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into)
}

// token is a client's own, for an audience; with every scope that it has there.
func (t Target) token(ctx context.Context, endpoint, id, key, audience string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "audience": {audience}}
	req, err := post(ctx, endpoint, form, basic(id, key))
	if err != nil {
		return "", err
	}
	resp, err := t.HTTPClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: get a token: %w", errSetUp, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&body); err != nil || body.AccessToken == "" {
		return "", fmt.Errorf("%w: a good key got no token: %d", errSetUp, resp.StatusCode)
	}
	return body.AccessToken, nil
}
