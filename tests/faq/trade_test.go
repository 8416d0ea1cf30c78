package faq

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// newClient registers a program that may call a service.
func (w *world) newClient(admin *exchangeapi.Admin, audience string) string {
	w.t.Helper()
	client, err := admin.CreateClient(w.ctx(), exchangeapi.ClientSpec{
		ID: "job-" + uuid.NewString()[:8], Audiences: map[string]exchangeapi.Audience{audience: {}},
	})
	require.NoError(w.t, err)
	return client.ID
}

// trade gets a token for a key, a new one each time.
type trade func() (*oauth2.Token, error)

// refused says that there is no token for the key: not that nobody answers.
func (t trade) refused() bool {
	_, err := t()
	return errors.Is(err, authn.ErrTokenRefused)
}

// trade is a client's with its key; for the only audience it has, if none is named.
func (w *world) trade(client, key string, audience ...string) trade {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "key")
	require.NoError(w.t, os.WriteFile(file, []byte(key), 0o600))
	return func() (*oauth2.Token, error) {
		s, err := authn.NewTokenSource(authn.TokenSourceConfig{
			TokenURL: w.Ports.URL(devstack.TokenExchange) + "/oauth/token", ClientID: client, APIKeyFile: file,
			Audience: strings.Join(audience, ""), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		return s.Token()
	}
}
