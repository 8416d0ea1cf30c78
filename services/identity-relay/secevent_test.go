package identityrelay_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source/secevent"
)

// transmitting makes the room take events of the IdP and of a partner, who may
// speak of the IdP's users and must send an Authorization header.
func transmitting(t *testing.T, partner *authntest.Issuer) func(*room, *identityrelay.Config) {
	t.Helper()
	dir := t.TempDir()
	header := filepath.Join(dir, "authorization")
	require.NoError(t, os.WriteFile(header, []byte("Bearer agreed-on\n"), 0o600))
	return func(r *room, cfg *identityrelay.Config) {
		idp := r.mesh.IdP
		cfg.ErasureGrace = time.Hour
		cfg.TransmittersFile = filepath.Join(dir, "transmitters.yaml")
		require.NoError(t, os.WriteFile(cfg.TransmittersFile, []byte(fmt.Sprintf(`transmitters:
  - issuer: %s
    jwks_urls: [%s]
  - issuer: %s
    jwks_urls: [%s]
    audience: https://relay.example
    users_of: %s
    authorization_file: %s
`, idp.Name(), idp.JWKSURL(), partner.Name(), partner.JWKSURL(), idp.Name(), header)), 0o600))
	}
}

func event(iss *authntest.Issuer, sub, uri string, opts ...authntest.TokenOption) string {
	return iss.SecurityEvent(sub, map[string]any{uri: map[string]any{}}, append([]authntest.TokenOption{authntest.Audience(api.Audience)}, opts...)...)
}

func subjectID(members map[string]any) authntest.TokenOption {
	return authntest.Claim("sub_id", members)
}

// push returns the status and, of a refusal, the code.
func (r *room) push(token string, headers ...string) (status int, code string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.service.URL+"/v1/security-events", strings.NewReader(token))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/secevent+jwt")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := openapitest.Load(r.t, "openapi.yaml").Client(r.t).Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusBadRequest {
		var refusal struct{ Err, Description string }
		require.NoError(r.t, json.NewDecoder(resp.Body).Decode(&refusal))
		require.NotEmpty(r.t, refusal.Description)
		require.Equal(r.t, "en", resp.Header.Get("Content-Language"), "RFC 8935, section 2.3")
		return resp.StatusCode, refusal.Err
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	if resp.StatusCode == http.StatusAccepted {
		require.Empty(r.t, body, "RFC 8935, section 2.2")
	}
	return resp.StatusCode, ""
}

func (r *room) accept(token string, headers ...string) {
	r.t.Helper()
	status, code := r.push(token, headers...)
	require.Equal(r.t, http.StatusAccepted, status, code)
}

func (r *room) revoked(kind authn.RevocationKind, id string) bool {
	r.t.Helper()
	kv, err := r.mesh.Broker.JetStream.KeyValue(r.t.Context(), "REVOCATIONS")
	require.NoError(r.t, err)
	entry, err := kv.Get(r.t.Context(), revocation.Key(kind, authn.NewRevocationKey(kind, id)))
	return err == nil && !strings.Contains(string(entry.Value()), `"lifted":true`)
}

func (r *room) eventually(what string, condition func() bool) {
	r.t.Helper()
	require.Eventually(r.t, condition, within, every, what)
}

func TestSecurityEvent_EndsSessions(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	iss := r.mesh.IdP
	r.accept(event(iss, "", secevent.SessionRevoked, subjectID(map[string]any{"format": "opaque", "id": "s1"})))
	r.accept(event(iss, "", secevent.SessionRevoked, subjectID(map[string]any{
		"format": "complex", "session": map[string]any{"format": "opaque", "id": "s2"},
		"user": map[string]any{"format": "iss_sub", "iss": iss.Name(), "sub": "auth0|u 1"},
	})))
	ended := r.events(identity.TypeSessionEnded)
	require.Len(t, ended, 2)
	require.Empty(t, ended[0].UserID)
	require.Equal(t, "s2", ended[1].SessionID)
	require.Equal(t, "auth0|u 1", ended[1].UserID)
	r.eventually("both are revoked", func() bool { return r.revoked(authn.RevokedSession, "s1") && r.revoked(authn.RevokedSession, "s2") })

	r.accept(event(iss, "auth0|u 1", secevent.SessionRevoked))
	require.Len(t, r.events(identity.TypeUserSignedOut), 1)
	r.eventually("all of the user's sessions", func() bool { return r.revoked(authn.RevokedUser, "auth0|u 1") })
}

// A delivery that comes an hour late must not end the session begun since.
func TestSecurityEvent_EndsTokensUpToItsTimeOnly(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	r.accept(event(r.mesh.IdP, "u1", secevent.SessionRevoked, authntest.Claim("iat", time.Now().Unix()), authntest.Claim("toe", then.Unix())))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM revocations WHERE kind = 'user' AND revoked_at = $1`, then))
	r.accept(event(r.mesh.IdP, "u1", secevent.SessionRevoked, authntest.Claim("toe", then.Add(-time.Minute).Unix())))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM revocations WHERE kind = 'user' AND revoked_at = $1`, then), "an older one changes nothing")
	require.Len(t, r.events(identity.TypeUserSignedOut), 1)
}

func TestSecurityEvent_ClaimsThatChangedEndTheTokensThatStateThem(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	r.idp.Add("u1", false)
	r.accept(event(r.mesh.IdP, "u1", secevent.TokenClaimsChange))
	require.Len(t, r.events(identity.TypeUserUpdated), 1)
	r.eventually("the tokens end", func() bool { return r.revoked(authn.RevokedUser, "u1") })
}

// "Enabled" and "disabled" may overtake each other; the user list decides.
func TestSecurityEvent_AccountsAreBlockedAtOnceAndThenAsTheListSays(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	iss := r.mesh.IdP
	r.idp.Add("u1", true)
	r.accept(event(iss, "u1", secevent.AccountDisabled))
	r.eventually("blocked", func() bool { return r.revoked(authn.BlockedUser, "u1") })
	r.accept(event(iss, "u1", secevent.AccountEnabled))
	r.eventually("the list was asked", func() bool {
		return r.count(`SELECT count(*) FROM rereads`) == 0 && r.idp.Lookups("u1") >= 2
	})
	require.True(t, r.revoked(authn.BlockedUser, "u1"), "an enabled that is older than the disabled lets nobody in")

	r.idp.Add("u1", false)
	r.accept(event(iss, "u1", secevent.AccountEnabled))
	r.eventually("let in again", func() bool { return !r.revoked(authn.BlockedUser, "u1") })
	r.accept(event(iss, "u1", secevent.AccountDisabled))
	r.eventually("a disabled that came late blocks for a moment only", func() bool {
		return len(r.events(identity.TypeUserBanned)) == 2 && len(r.events(identity.TypeUserUnbanned)) == 2
	})
}

func TestSecurityEvent_PurgedAccountsAreErased(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	token := event(r.mesh.IdP, "", secevent.AccountPurged, subjectID(map[string]any{"format": "opaque", "id": "u1"}), authntest.ID("e-1"))
	for range 3 {
		r.accept(token)
	}
	require.Equal(t, 1, r.count(`SELECT count(*) FROM erasures WHERE user_id = 'u1' AND state = 'grace'`))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM deliveries`), "once by issuer and jti")
	r.eventually("blocked", func() bool { return r.revoked(authn.BlockedUser, "u1") })
}

func TestSecurityEvent_SeveralTransmitters(t *testing.T) {
	t.Parallel()
	partner := authntest.NewIssuer(t, authntest.WithAlgorithm("ES256"))
	r := newRoom(t, transmitting(t, partner))
	about := subjectID(map[string]any{"format": "iss_sub", "iss": r.mesh.IdP.Name(), "sub": "u1"})
	aud := authntest.Audience("https://relay.example")
	const agreed = "Bearer agreed-on"
	r.accept(event(partner, "u1", secevent.AccountPurged, about, aud, authntest.ID("same")), "Authorization", agreed)
	r.accept(event(r.mesh.IdP, "u1", secevent.SessionRevoked, authntest.ID("same")))
	require.Len(t, r.events(""), 2, "a jti is unique within its issuer only")

	status, code := r.push(event(partner, "u2", secevent.AccountPurged, about, aud))
	require.Equal(t, 400, status)
	require.Equal(t, "authentication_failed", code, "without the header that was agreed on")
	_, code = r.push(event(partner, "u2", secevent.AccountPurged, about), "Authorization", agreed)
	require.Equal(t, "invalid_audience", code, "the audience of another transmitter")
	_, code = r.push(event(partner, "u2", secevent.AccountPurged, aud,
		subjectID(map[string]any{"format": "iss_sub", "iss": "https://elsewhere.example", "sub": "u2"})), "Authorization", agreed)
	require.Equal(t, "access_denied", code)
	require.Len(t, r.events(""), 2)
}

func TestSecurityEvent_OneTokenWithSeveralEvents(t *testing.T) {
	t.Parallel()
	r := newRoom(t, transmitting(t, authntest.NewIssuer(t)))
	token := r.mesh.IdP.SecurityEvent("u1", map[string]any{
		secevent.SessionRevoked: map[string]any{}, secevent.AccountDisabled: map[string]any{"reason": "hijacking"}, "urn:example:unheard-of": map[string]any{},
	}, authntest.Audience(api.Audience))
	r.idp.Add("u1", true)
	for range 2 {
		r.accept(token)
	}
	require.Len(t, r.events(identity.TypeUserSignedOut), 1)
	require.Len(t, r.events(identity.TypeUserBanned), 1)
	require.Equal(t, 3, r.count(`SELECT count(*) FROM deliveries`))
	require.Equal(t, 1, r.count(`SELECT count(*) FROM deliveries WHERE outcome = 'ignored'`))
}

func TestSecurityEvent_Refuses(t *testing.T) {
	t.Parallel()
	partner := authntest.NewIssuer(t)
	r := newRoom(t, transmitting(t, partner))
	iss := r.mesh.IdP
	stranger := authntest.NewIssuer(t)
	good := event(iss, "u1", secevent.AccountPurged)
	parts := strings.Split(good, ".")
	other := strings.Split(event(iss, "u2", secevent.AccountPurged), ".")
	about := func(members map[string]any) string { return event(iss, "", secevent.AccountPurged, subjectID(members)) }
	for name, c := range map[string]struct {
		token string
		media string
		code  string
	}{
		"not a token":              {token: "hello", code: "invalid_request"},
		"nothing":                  {token: "", code: "invalid_request"},
		"too large":                {token: strings.Repeat("x", 65<<10), code: "invalid_request"},
		"JSON":                     {token: good, media: "application/json", code: "invalid_request"},
		"no media type":            {token: good, media: " ", code: "invalid_request"},
		"an access token":          {token: iss.UserToken("u1", authntest.Audience(api.Audience)), code: "invalid_request"},
		"an unknown issuer":        {token: event(stranger, "u1", secevent.AccountPurged), code: "invalid_issuer"},
		"a token issuer":           {token: event(r.mesh.Exchange.Issuer(), "u1", secevent.AccountPurged), code: "invalid_issuer"},
		"an unknown key":           {token: event(iss, "u1", secevent.AccountPurged, authntest.SignedBy(authntest.NewKey(t, "RS256", "unknown"))), code: "invalid_key"},
		"a changed payload":        {token: parts[0] + "." + other[1] + "." + parts[2], code: "authentication_failed"},
		"another audience":         {token: event(iss, "u1", secevent.AccountPurged, authntest.Audience("orders")), code: "invalid_audience"},
		"another's audience":       {token: event(iss, "u1", secevent.AccountPurged, authntest.Audience("https://relay.example")), code: "invalid_audience"},
		"no jti":                   {token: event(iss, "u1", secevent.AccountPurged, authntest.Claim("jti", nil)), code: "invalid_request"},
		"an exp":                   {token: event(iss, "u1", secevent.AccountPurged, authntest.Claim("exp", time.Now().Add(time.Hour).Unix())), code: "invalid_request"},
		"no events":                {token: iss.SecurityEvent("u1", map[string]any{}, authntest.Audience(api.Audience)), code: "invalid_request"},
		"too old":                  {token: event(iss, "u1", secevent.AccountPurged, authntest.Claim("iat", time.Now().Add(-73*time.Hour).Unix())), code: "invalid_request"},
		"from the future":          {token: event(iss, "u1", secevent.AccountPurged, authntest.Claim("iat", time.Now().Add(time.Hour).Unix())), code: "invalid_request"},
		"before all time":          {token: event(iss, "u1", secevent.AccountPurged, authntest.Claim("toe", -5)), code: "invalid_request"},
		"an e-mail address":        {token: about(map[string]any{"format": "email", "email": "a@example.com"}), code: "invalid_request"},
		"another issuer's user":    {token: about(map[string]any{"format": "iss_sub", "iss": partner.Name(), "sub": "u1"}), code: "access_denied"},
		"a session to be purged":   {token: about(map[string]any{"format": "complex", "session": map[string]any{"format": "opaque", "id": "s1"}}), code: "invalid_request"},
		"a complex nobody":         {token: about(map[string]any{"format": "complex"}), code: "invalid_request"},
		"a complex e-mail":         {token: about(map[string]any{"format": "complex", "user": map[string]any{"format": "email", "email": "a@example.com"}}), code: "invalid_request"},
		"a complex foreign user":   {token: about(map[string]any{"format": "complex", "user": map[string]any{"format": "iss_sub", "iss": "x", "sub": "u"}}), code: "access_denied"},
		"a complex of another ilk": {token: about(map[string]any{"format": "complex", "user": "u1"}), code: "invalid_request"},
	} {
		media := c.media
		if media == "" {
			media = "application/secevent+jwt"
		}
		status, code := r.push(c.token, "Content-Type", strings.TrimSpace(media))
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Equal(t, c.code, code, name)
	}
	require.Zero(t, r.count(`SELECT count(*) FROM deliveries`))
	require.Empty(t, r.events(""))

	counted := map[string]int64{}
	all, err := r.operator.Sources(t.Context())
	require.NoError(t, err)
	require.Len(t, all.Sources, 1)
	for _, refusal := range all.Sources[0].Refusals {
		counted[refusal.Reason] = refusal.Count
	}
	require.Equal(t, map[string]int64{
		"invalid_request": 17, "invalid_issuer": 2, "invalid_key": 1, "authentication_failed": 1, "invalid_audience": 2, "access_denied": 2,
	}, counted)
}

func TestSecurityEvent_WithoutTransmittersNobodyIsHeard(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	status, code := r.push(event(r.mesh.IdP, "u1", secevent.AccountPurged))
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_issuer", code)
}

func TestSecurityEvent_KeysThatCannotBeHadRefuseNothing(t *testing.T) {
	t.Parallel()
	partner := authntest.NewIssuer(t)
	partner.Down()
	r := newRoom(t, transmitting(t, partner))
	token := event(partner, "u1", secevent.AccountPurged, authntest.Audience("https://relay.example"),
		subjectID(map[string]any{"format": "iss_sub", "iss": r.mesh.IdP.Name(), "sub": "u1"}))
	status, _ := r.push(token, "Authorization", "Bearer agreed-on")
	require.Equal(t, http.StatusServiceUnavailable, status, "the transmitter must come again")
	partner.Up()
	r.eventually("accepted once the keys are there", func() bool {
		status, _ := r.push(token, "Authorization", "Bearer agreed-on")
		return status == http.StatusAccepted
	})
}
