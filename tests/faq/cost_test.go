package faq

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// BenchmarkCaller is what it costs to know who calls: a JWT that was seen
// before, one that is new, and a secret that must be asked about each time.
func BenchmarkCaller(b *testing.B) {
	w := system(b)
	c := w.newCustomer()
	b.Run("known-JWT", func(b *testing.B) {
		v := w.verifier()
		for b.Loop() {
			_, err := v.Verify(b.Context(), c.Token)
			require.NoError(b, err)
		}
	})
	b.Run("new-JWT", func(b *testing.B) {
		cfg, err := authn.LoadConfig(w.StateDir + "/config/authn.yaml")
		require.NoError(b, err)
		cfg.Cache.Entries = -1
		v := w.verifierOf(cfg)
		for b.Loop() {
			_, err := v.Verify(b.Context(), c.Token)
			require.NoError(b, err)
		}
	})
	b.Run("asked-API-key", func(b *testing.B) {
		form := url.Values{"grant_type": {authn.GrantClientCredentials}, "audience": {devstack.Orders}}.Encode()
		admin, client, key := w.exchange(), "", exchangeapi.IssuedKey{}
		for n := 0; b.Loop(); n++ {
			if n%5000 == 0 { // a key may be used 6000 times a minute
				b.StopTimer()
				var err error
				client = w.newClient(admin, devstack.Orders)
				key, err = admin.CreateKey(b.Context(), client, exchangeapi.NewKey{})
				require.NoError(b, err)
				b.StartTimer()
			}
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, w.Ports.URL(devstack.TokenExchange)+"/oauth/token", strings.NewReader(form))
			require.NoError(b, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(client, url.QueryEscape(key.Secret))
			answer, err := http.DefaultClient.Do(r)
			require.NoError(b, err)
			require.Equal(b, http.StatusOK, answer.StatusCode, body(b, answer))
		}
	})
}

// BenchmarkDecision is what it costs to know whether the caller may.
func BenchmarkDecision(b *testing.B) {
	w := system(b)
	p := w.principal(w.newCustomer().Token)
	asker, _ := w.asker()
	b.Run("from-the-token", func(b *testing.B) {
		q := authn.Question{EntityType: "order", EntityID: "o1", Permission: "cancel"}
		for b.Loop() {
			require.NoError(b, authn.Authorize(b.Context(), p, asker, q))
		}
	})
	b.Run("asked", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, authn.Authorize(b.Context(), p, asker, refundOf(10_00)))
		}
	})
}
