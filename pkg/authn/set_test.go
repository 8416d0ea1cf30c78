package authn_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

const sessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

func TestVerifySET(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t, authntest.WithClock(authntest.NewClock(start)))
	v := iss.Verifier(t, aud)
	token := iss.SecurityEvent("alice", map[string]any{sessionRevoked: map[string]any{"reason_admin": "lost phone"}},
		authntest.ID("e-1"), authntest.Claim("txn", "t-1"), authntest.Claim("toe", start.Unix()-60))
	e, err := v.VerifySET(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, iss.Name(), e.Issuer())
	require.Equal(t, "e-1", e.TokenID())
	require.Equal(t, "t-1", e.TransactionID())
	require.Equal(t, []string{aud}, e.Audiences())
	require.Equal(t, start.Unix(), e.IssuedAt().Unix())
	require.Equal(t, start.Add(-time.Minute).Unix(), e.OccurredAt().Unix())
	require.Equal(t, authn.SubjectID{Format: "iss_sub", Issuer: iss.Name(), Subject: "alice"}, e.Subject())
	require.JSONEq(t, `{"format":"iss_sub","iss":"`+iss.Name()+`","sub":"alice"}`, string(e.SubjectJSON()))
	require.Equal(t, []string{sessionRevoked}, e.Types())
	payload, ok := e.Payload(sessionRevoked)
	require.True(t, ok)
	require.JSONEq(t, `{"reason_admin":"lost phone"}`, string(payload))
	_, ok = e.Payload("urn:other")
	require.False(t, ok)
	require.NotContains(t, e.String(), "alice")

	_, err = v.VerifySET(t.Context(), token, "someone-else")
	require.ErrorIs(t, err, authn.ErrAudience)
	_, err = v.Verify(t.Context(), token)
	require.ErrorIs(t, err, authn.ErrMalformed, "an event is no access token")
	_, err = v.VerifySET(t.Context(), iss.UserToken("alice"))
	require.ErrorIs(t, err, authn.ErrMalformed, "nor the other way round")
}

// The keys are those of the access tokens: no fetch more, and a rotation counts for both.
func TestVerifySET_SharesTheKeys(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	_, err := v.Verify(t.Context(), iss.UserToken("alice"))
	require.NoError(t, err)
	event := map[string]any{sessionRevoked: map[string]any{}}
	_, err = v.VerifySET(t.Context(), iss.SecurityEvent("alice", event))
	require.NoError(t, err)
	n, _ := iss.Fetches()
	require.Equal(t, 1, n)
	iss.Rotate()
	_, err = v.VerifySET(t.Context(), iss.SecurityEvent("alice", event))
	require.NoError(t, err)
	_, err = v.VerifySET(t.Context(), iss.SecurityEvent("alice", event, authntest.Claim("iss", "https://evil.example")))
	require.ErrorIs(t, err, authn.ErrUnknownIssuer)
}

func TestVerifySET_SubjectFormats(t *testing.T) {
	t.Parallel()
	iss := authntest.NewIssuer(t)
	v := iss.Verifier(t, aud)
	for name, c := range map[string]struct {
		subject map[string]any
		want    authn.SubjectID
		refused bool
	}{
		"opaque":             {subject: map[string]any{"format": "opaque", "id": "u-1"}, want: authn.SubjectID{Format: "opaque", ID: "u-1"}},
		"email":              {subject: map[string]any{"format": "email", "email": "a@example.com"}, want: authn.SubjectID{Format: "email", Email: "a@example.com"}},
		"account":            {subject: map[string]any{"format": "account", "uri": "acct:a@example.com"}, want: authn.SubjectID{Format: "account", URI: "acct:a@example.com"}},
		"complex":            {subject: map[string]any{"format": "complex", "user": map[string]any{"format": "opaque", "id": "x"}}, want: authn.SubjectID{Format: "complex"}},
		"opaque without ID":  {subject: map[string]any{"format": "opaque"}, refused: true},
		"iss_sub without":    {subject: map[string]any{"format": "iss_sub", "iss": "x"}, refused: true},
		"format is a number": {subject: map[string]any{"format": 1}, refused: true},
		"sub with a newline": {subject: map[string]any{"format": "iss_sub", "iss": "x", "sub": "a\nb"}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := v.VerifySET(t.Context(), iss.SecurityEvent("", map[string]any{sessionRevoked: map[string]any{}}, authntest.Claim("sub_id", c.subject)))
			if c.refused {
				require.ErrorIs(t, err, authn.ErrClaims)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, e.Subject())
		})
	}
}
