package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

const runbooks = "../../docs/runbooks"

// runbook runs a runbook's commands against a system of its own.
func (s *system) runbook(name string, env ...string) string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(runbooks, name))
	require.NoError(s.t, err)
	return s.must(strings.Join(blocks(s.t, string(raw)), ""), env...)
}

func running(t *testing.T) (*system, *meshtest.Service) {
	t.Helper()
	s := prepare(t, tokenexchangetest.ShortLead)
	service := s.Start(true)
	s.admin = s.Operator(streams.Operator)
	return s, service
}

func (s *system) secretKey(file, id string) api.SecretKey {
	s.t.Helper()
	keys, err := s.admin.SecretKeys(s.t.Context())
	require.NoError(s.t, err)
	for _, k := range keys {
		if k.File == file && k.ID == id {
			return k
		}
	}
	return api.SecretKey{}
}

func TestRunbooks(t *testing.T) {
	t.Parallel()
	t.Run("every runbook is here", func(t *testing.T) {
		t.Parallel()
		files, err := filepath.Glob(filepath.Join(runbooks, "*-key.md"))
		require.NoError(t, err)
		require.Len(t, files, 4)
	})
	t.Run("signing-key.md", func(t *testing.T) {
		t.Parallel()
		s, _ := running(t)
		before, token := s.kids(), s.token("many")
		require.True(t, s.active("many", token))
		require.Contains(t, s.runbook("signing-key.md"), "signing")
		require.NotSubset(t, before, s.kids())
		require.Len(t, s.kids(), 1)
		require.Eventually(t, func() bool { return !s.active("many", token) }, 10*time.Second, 100*time.Millisecond)
	})
	t.Run("key-encryption-key.md", func(t *testing.T) {
		t.Parallel()
		s, service := running(t)
		before := s.kids()
		s.runbook("key-encryption-key.md", "NEW=e2")
		require.NotSubset(t, before, s.kids())
		service.Stop()
		s.Start(true)
		s.token("orders")
		require.Equal(t, api.SecretKey{ID: "e2", File: "key_encryption", Current: true, InFile: true, SigningKeys: 1}, s.secretKey("key_encryption", "e2"))
	})
	t.Run("key-hash-key.md", func(t *testing.T) {
		t.Parallel()
		s, service := running(t)
		working, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() { // none of them is refused at any time
			for working.Err() == nil {
				for _, client := range registrations {
					status, body := s.ask(client.ID, s.Keys[client.ID], "/oauth/token", tokenexchangetest.Credentials())
					if status == http.StatusUnauthorized {
						t.Errorf("%s was refused: %s", client.ID, body["error"])
					}
				}
				select {
				case <-working.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		s.runbook("key-hash-key.md", "NEW=h2")
		stop()
		clients.Wait()
		service.Stop()
		s.Start(true)
		s.token("orders")
		require.False(t, s.secretKey("key_hash", "h1").InFile)
	})
	t.Run("api-key.md", func(t *testing.T) {
		t.Parallel()
		s, _ := running(t)
		leaked, err := api.ParseKey(s.Keys["many"])
		require.NoError(t, err)
		token := s.token("many")
		s.runbook("api-key.md", "CLIENT=many", "KEY="+leaked.ID())
		status, body := s.ask("many", s.Keys["many"], "/oauth/token", tokenexchangetest.Credentials())
		require.Equal(t, http.StatusUnauthorized, status)
		require.Equal(t, "invalid_client", body["error"])
		keys, err := s.admin.Keys(t.Context(), "many")
		require.NoError(t, err)
		require.Len(t, keys, 2)
		for _, k := range keys {
			require.NotNil(t, k.RevokedAt, "the leaked one, and its successor by its holder")
		}
		fresh, err := s.admin.CreateKey(t.Context(), "many", api.NewKey{})
		require.NoError(t, err)
		s.Keys["many"] = fresh.Secret
		require.Eventually(t, func() bool { return !s.active("many", token) }, 10*time.Second, 100*time.Millisecond)
	})
}
