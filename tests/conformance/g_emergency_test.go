package conformance_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// keySetCaching: others may keep the key set for a stated time, and an emergency
// is over for them no later than that.
func keySetCaching(t *testing.T, _ *deployment) {
	d := deploy(t, tokenexchangetest.ShortLead)
	get := func(r *replica, tag string) answer {
		q := request(t, http.MethodGet, r.url+"/.well-known/jwks.json", "")
		if tag != "" {
			q.Header.Set("If-None-Match", tag)
		}
		return d.do(t, q)
	}
	before := get(d.a, "")
	tag := before.header.Get("ETag")
	require.Regexp(t, `^"[^"]+"$`, tag)
	require.Equal(t, http.StatusNotModified, get(d.a, tag).status)
	require.Equal(t, http.StatusNotModified, get(d.b, tag).status, "replicas agree")
	require.Equal(t, http.StatusNotModified, get(d.a, `"x", W/`+tag).status)
	require.Equal(t, http.StatusOK, get(d.a, `"x"`).status)
	require.LessOrEqual(t, d.maxAge(t, d.a), 5*time.Minute)
	require.Greater(t, d.maxAge(t, d.a), time.Minute)
	require.Contains(t, before.header.Get("Cache-Control"), "must-revalidate")

	old := d.signer(t, d.a)
	token := d.send(t, d.As("operator"), credentials()).token(t)
	_, err := d.admin.RotateSigningKeys(t.Context(), api.Rotation{Emergency: true})
	require.NoError(t, err)
	require.LessOrEqual(t, d.maxAge(t, d.a), d.Config.SigningEmergencyLead, "nobody keeps the old keys beyond their end")
	for _, r := range []*replica{d.a, d.b} {
		require.Eventually(t, func() bool { return get(r, tag).status == http.StatusOK && !slices.Contains(d.kids(t, r), old) }, time.Minute, 100*time.Millisecond)
		require.NotEqual(t, old, d.signer(t, r))
		require.Contains(t, d.kids(t, r), d.signer(t, r))
		require.LessOrEqual(t, d.maxAge(t, r), 15*time.Second, "for the hour after it too")
	}
	// Its own verifier fetches no set from afar: what the old key signed is
	// worthless here at once.
	for _, r := range []*replica{d.a, d.b} {
		d.eventually(t, func() bool {
			q := request(t, http.MethodGet, r.url+"/v1/clients", "")
			bearer(token)(q)
			return d.do(t, q).status == http.StatusUnauthorized
		}, "a token of the old key")
	}
}
