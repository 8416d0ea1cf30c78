package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// The statuses that refuse.
var (
	unauthenticated = []int{http.StatusUnauthorized}
	invalid         = []int{http.StatusBadRequest}
	either          = []int{http.StatusBadRequest, http.StatusUnauthorized}
	method          = []int{http.StatusMethodNotAllowed}
	forbidden       = []int{http.StatusForbidden}
)

// Refusals sends what must be refused. The error tells that the probes could not
// be prepared; whether something was accepted is for Err.
//
// It registers a client, Patient, and leaves it blocked.
func Refusals(ctx context.Context, t Target) (results []Result, err error) {
	t.HTTPClient = withoutRedirects(t.HTTPClient)
	m, err := t.discover(ctx)
	if err != nil {
		return nil, err
	}
	p, err := t.admit(ctx, m)
	defer func() {
		if p.id == "" {
			return
		}
		ended := t.discharge(context.WithoutCancel(ctx), p)
		if err == nil {
			err = ended
		}
	}()
	if err != nil {
		return nil, err
	}
	own, err := t.token(ctx, m.TokenEndpoint, t.ClientID, t.APIKey, audience)
	if err != nil {
		return nil, err
	}
	probes, err := t.immediate(ctx, m, p, own)
	if err != nil {
		return nil, err
	}
	for _, probe := range probes {
		results = append(results, t.try(ctx, probe))
	}
	results = append(results, t.plain(ctx, m))
	later, err := t.later(ctx, m, p, own)
	return append(results, later...), err
}

// immediate are the probes that need no waiting.
func (t Target) immediate(ctx context.Context, m metadata, p patient, own string) ([]probe, error) {
	wrong, err := wrongSecret(t.APIKey)
	if err != nil {
		return nil, err
	}
	unknown, err := api.GenerateKey("doctor")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSetUp, err)
	}
	me := basic(t.ClientID, t.APIKey)
	probes := t.clientProbes(m, me, wrong, unknown.Reveal())
	probes = append(probes, t.formProbes(m, me)...)
	probes = append(probes, t.rightProbes(m, p, own)...)
	probes = append(probes, t.endpointProbes(m, own, wrong)...)
	list, err := t.forgeries(ctx, m, own)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		probes = append(probes,
			probe{"a subject token " + f.wrong, invalid, posting(m.TokenEndpoint, exchange(f.token), me)},
			probe{"a bearer token " + f.wrong, unauthenticated, getting(t.base()+"/v1/clients", bearer(f.token))},
			probe{"introspection of a token " + f.wrong, nil, posting(m.IntrospectionEndpoint, form("token", f.token), me)},
		)
	}
	return probes, nil
}

// clientProbes are about who asks.
func (t Target) clientProbes(m metadata, me change, wrong, unknown string) []probe {
	secret := form("client_id", t.ClientID, "client_secret", t.APIKey)
	inQuery := m.TokenEndpoint + "?" + secret.Encode()
	return []probe{
		{"no client authentication", unauthenticated, posting(m.TokenEndpoint, credentials())},
		{"a client ID without its key", unauthenticated, posting(m.TokenEndpoint, credentials("client_id", t.ClientID))},
		{"a wrong secret under a known key ID", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(t.ClientID, wrong))},
		{"a wrong secret in the body", unauthenticated, posting(m.TokenEndpoint, credentials("client_id", t.ClientID, "client_secret", wrong))},
		{"a key that nobody registered", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(t.ClientID, unknown))},
		{"a key with a wrong checksum", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(t.ClientID, t.APIKey[:len(t.APIKey)-1]))},
		{"a good key under another client's ID", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(Patient, t.APIKey))},
		{"Basic and body credentials at once", invalid, posting(m.TokenEndpoint, credentials("client_id", t.ClientID, "client_secret", t.APIKey), me)},
		{"the key in the query string", invalid, posting(inQuery, credentials())},
		{"the key in the query string of a GET", append(method, http.StatusBadRequest), getting(inQuery + "&grant_type=client_credentials")},
	}
}

// formProbes are about how it is asked.
func (t Target) formProbes(m metadata, me change) []probe {
	asJSON := func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }
	twice := credentials()
	twice["grant_type"] = []string{"client_credentials", "client_credentials"}
	many := credentials()
	for range 10_000 {
		many.Add("p", "")
	}
	return []probe{
		{"GET on the token endpoint", method, getting(m.TokenEndpoint, me)},
		{"a form that says it is JSON", append(invalid, http.StatusUnsupportedMediaType), posting(m.TokenEndpoint, credentials(), me, asJSON)},
		{"no grant_type", invalid, posting(m.TokenEndpoint, url.Values{}, me)},
		{"an unknown grant_type", invalid, posting(m.TokenEndpoint, form("grant_type", "password"), me)},
		{"a parameter twice", invalid, posting(m.TokenEndpoint, twice, me)},
		{"ten thousand parameters", append(invalid, http.StatusRequestEntityTooLarge), posting(m.TokenEndpoint, many, me)},
		{"a body of a megabyte", append(invalid, http.StatusRequestEntityTooLarge), posting(m.TokenEndpoint, credentials("x", strings.Repeat("x", 1<<20)), me)},
	}
}

// rightProbes are about who may what.
func (t Target) rightProbes(m metadata, p patient, own string) []probe {
	sick := basic(p.id, p.good)
	return []probe{
		{"a scope that the client does not have", invalid, posting(m.TokenEndpoint, credentials("audience", audience, "scope", api.AdminScope), sick)},
		{"an audience that the client does not have", invalid, posting(m.TokenEndpoint, credentials("audience", "doctor-nowhere"), sick)},
		{"a resource that nobody is", invalid, posting(m.TokenEndpoint, credentials("resource", "https://doctor.invalid"), sick)},
		{"a revoked key", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(p.id, p.revoked))},
		{"a token without the scope, at the administration", forbidden, getting(t.base()+"/v1/clients", bearer(p.token))},
		{"a client's own token as a user's", invalid, posting(m.TokenEndpoint, exchange(own), basic(t.ClientID, t.APIKey))},
		{"an id_token from a client that is no front door", either, posting(m.TokenEndpoint, exchange(own, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), sick)},
		{"an actor token without its type", invalid, posting(m.TokenEndpoint, exchange(own, "actor_token", own), basic(t.ClientID, t.APIKey))},
		{"the token in the query string, at the administration", either, getting(t.base() + "/v1/clients?access_token=" + url.QueryEscape(own))},
	}
}

// endpointProbes are about what stands beside the token endpoint.
func (t Target) endpointProbes(m metadata, own, wrong string) []probe {
	bad := basic(t.ClientID, wrong)
	return []probe{
		{"introspection without authentication", unauthenticated, posting(m.IntrospectionEndpoint, form("token", own))},
		{"introspection with a wrong key", unauthenticated, posting(m.IntrospectionEndpoint, form("token", own), bad)},
		{"GET on introspection", append(method, http.StatusBadRequest), getting(m.IntrospectionEndpoint, basic(t.ClientID, t.APIKey))},
		{"revocation without authentication", unauthenticated, posting(m.RevocationEndpoint, form("token", own))},
		{"revocation with a wrong key", unauthenticated, posting(m.RevocationEndpoint, form("token", own), bad)},
		{"the administration without a token", unauthenticated, getting(t.base() + "/v1/clients")},
		{"the administration with an API key in place of a token", unauthenticated, getting(t.base()+"/v1/clients", bearer(t.APIKey))},
	}
}

// plain asks without TLS where TLS is spoken.
func (t Target) plain(ctx context.Context, m metadata) Result {
	const sent = "plain HTTP where TLS is spoken"
	rest, ok := strings.CutPrefix(m.TokenEndpoint, "https://")
	if !ok {
		return Result{sent, "the deployment speaks plain HTTP: for one machine only", Skipped}
	}
	r := t.try(ctx, probe{sent, []int{
		http.StatusBadRequest, http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusForbidden, http.StatusNotFound, http.StatusUpgradeRequired,
	}, posting("http://"+rest, credentials(), basic(Patient, "x"))})
	if r.Verdict == Unclear && r.Answer == "no answer" {
		r.Verdict, r.Answer = Refused, "no connection"
	}
	return r
}

// later are the probes of what ends: a key's life, a client, a token.
func (t Target) later(ctx context.Context, m metadata, p patient, own string) ([]Result, error) {
	ends, err := expiry(own)
	if err != nil {
		return nil, err
	}
	if err := until(ctx, p.expires); err != nil {
		return nil, err
	}
	results := []Result{t.try(ctx, probe{"an expired key", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(p.id, p.expired))})}
	if err := t.setBlocked(ctx, p.id, true); err != nil {
		return results, err
	}
	results = append(results,
		t.try(ctx, probe{"a blocked client", unauthenticated, posting(m.TokenEndpoint, credentials(), basic(p.id, p.good))}),
		t.settled(ctx, probe{"the token of a client that was blocked since", unauthenticated, getting(t.base()+"/v1/clients", bearer(p.token))}),
	)
	expired := probe{"an expired token", unauthenticated, getting(t.base()+"/v1/clients", bearer(own))}
	if !t.UntilExpired {
		return append(results, Result{expired.sent, "needs --until-expired", Skipped}), nil
	}
	const leeway = 31 * time.Second // of verifiers
	if t.Progress != nil {
		t.Progress("waiting until " + ends.Add(leeway).Format(time.TimeOnly) + " for a token to expire")
	}
	if err := until(ctx, ends.Add(leeway)); err != nil {
		return results, err
	}
	return append(results, t.try(ctx, expired)), nil
}

// settled tries until it is refused, for as long as a revocation may take. A
// forbidden request is not yet that: the token was still taken for good.
func (t Target) settled(ctx context.Context, p probe) Result {
	deadline := time.Now().Add(settle)
	for {
		r := t.try(ctx, p)
		if r.Verdict == Refused || time.Now().After(deadline) || until(ctx, time.Now().Add(200*time.Millisecond)) != nil {
			if r.Verdict == Unclear && strings.HasPrefix(r.Answer, "403") {
				r.Verdict = Accepted
			}
			return r
		}
	}
}
