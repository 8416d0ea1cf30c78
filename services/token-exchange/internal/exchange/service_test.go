package exchange_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

type authenticator struct {
	proven clients.Proven
	err    error
}

func (a authenticator) Authenticate(context.Context, clients.Credential) (clients.Proven, error) {
	return a.proven, a.err
}

type signer struct{ err error }

func (s signer) Sign(string, any) (string, error) { return "signed", s.err }

type recorder struct {
	mu       sync.Mutex
	attempts []audit.Attempt
	full     bool
}

func (r *recorder) Record(_ context.Context, a audit.Attempt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
	if r.full {
		return audit.ErrDropped
	}
	return nil
}

// TestService_RecordsWhatIsDown: an outage is 503, names its cause in the
// audit, and is never a token.
func TestService_RecordsWhatIsDown(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	client := &clients.Client{Client: api.Client{ClientSpec: api.ClientSpec{ID: "orders", Audiences: map[string]api.Audience{"billing": {}}}}}
	for reason, o := range map[string]exchange.Options{
		"clients_unavailable": {Authenticator: authenticator{err: down}, Signer: signer{}},
		"signing_unavailable": {Authenticator: authenticator{proven: clients.Proven{Client: client, KeyID: "k"}}, Signer: signer{down}},
	} {
		records := &recorder{full: true}
		o.Issuer, o.Recorder, o.Now, o.Grants = "https://sts.example", records, time.Now, []exchange.Grant{exchange.ClientCredentials{}}
		s := exchange.New(o)
		_, err := s.Exchange(t.Context(), &exchange.Request{GrantType: clients.GrantClientCredentials})
		var refused *oauth.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 503, refused.Status)
		require.ErrorIs(t, err, down)
		_, err = s.ExchangeKey(t.Context(), "x", "")
		require.ErrorIs(t, err, down)
		require.Len(t, records.attempts, 2)
		for _, a := range records.attempts {
			require.False(t, a.Granted)
			require.Equal(t, reason, a.Reason)
			require.Nil(t, a.TokenHash)
		}
	}
}
