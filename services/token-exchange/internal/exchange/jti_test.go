package exchange_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

type ids struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (i *ids) Record(_ context.Context, a audit.Attempt) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[a.TokenID] = true
	return nil
}

// TestMint_D5 mints 100,000 tokens at once from many sides.
func TestMint_D5(t *testing.T) {
	t.Parallel()
	const sides, each = 8, 12_500
	client := &clients.Client{Client: api.Client{ClientSpec: api.ClientSpec{ID: "orders", Audiences: map[string]api.Audience{"billing": {}}}}}
	records := &ids{seen: map[string]bool{}}
	s := exchange.New(exchange.Options{
		Issuer: "https://sts.example", Policy: policy.Policy{MaxTokenBytes: policy.DefaultMaxTokenBytes}, Recorder: records, Now: time.Now,
		Authenticator: authenticator{proven: clients.Proven{Client: client, KeyID: "k"}}, Signer: signer{}, Grants: []exchange.Grant{exchange.ClientCredentials{}},
	})
	var done sync.WaitGroup
	failed := make(chan error, sides)
	for range sides {
		done.Go(func() {
			for range each {
				if _, err := s.Exchange(context.Background(), &exchange.Request{GrantType: clients.GrantClientCredentials}); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	done.Wait()
	require.Empty(t, failed)
	require.Len(t, records.seen, sides*each)
	require.NotContains(t, records.seen, "")
}
