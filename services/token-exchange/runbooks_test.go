package tokenexchange_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

const runbooks = "../../docs/runbooks"

// commands are the sh blocks of a runbook, as they stand there.
func commands(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(runbooks, name))
	require.NoError(t, err)
	var script strings.Builder
	inside := false
	for line := range strings.Lines(string(raw)) {
		switch strings.TrimSpace(line) {
		case "```sh":
			inside = true
		case "```":
			inside = false
		default:
			if inside {
				script.WriteString(line)
			}
		}
	}
	require.NotEmpty(t, script.String())
	return script.String()
}

// operatorCommand builds the operator's command, once.
var operatorCommand = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "shadowless-command")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "shadowless"), "../../cmd/shadowless").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return dir, nil
})

// runbook runs a runbook's commands with the real command against the service.
func (w *world) runbook(t *testing.T, name string, env ...string) string {
	t.Helper()
	dir, err := operatorCommand()
	require.NoError(t, err, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-eu", "-c", commands(t, name))
	sh.Dir = t.TempDir()
	sh.Env = append(os.Environ(), append([]string{
		"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"SHADOWLESS_TOKEN_EXCHANGE_URL=" + w.Issuer, "SHADOWLESS_IDENTITY_RELAY_URL=" + w.Issuer,
		"SHADOWLESS_API_KEY_FILE=" + w.File("operator.key", w.Keys["operator"]),
		"KEY_ENCRYPTION_FILE=" + w.Config.KeyEncryptionKeyFile, "KEY_HASH_FILE=" + w.Config.KeyHashKeyFile,
	}, env...)...)
	out, err := sh.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func TestRunbooks(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		if dir, err := operatorCommand(); err == nil {
			_ = os.RemoveAll(dir)
		}
	})
	t.Run("every runbook is here", func(t *testing.T) {
		t.Parallel()
		files, err := filepath.Glob(filepath.Join(runbooks, "*-key.md"))
		require.NoError(t, err)
		require.Len(t, files, 4)
	})
	t.Run("signing-key.md", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		before := w.kids(t)
		token := w.send(w.As("many"), credentials()).token(t)
		require.Contains(t, w.runbook(t, "signing-key.md"), "signing")
		require.NotSubset(t, before, w.kids(t))
		require.Len(t, w.kids(t), 1)
		require.Eventually(t, func() bool { return w.introspect(t, "many", token).body["active"] == false }, 10*time.Second, 100*time.Millisecond)
	})
	t.Run("key-encryption-key.md", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		before := w.kids(t)
		w.runbook(t, "key-encryption-key.md", "NEW=e2")
		require.NotSubset(t, before, w.kids(t))
		w.service.Stop()
		w.service = w.run()
		w.send(w.As("orders"), credentials()).token(t)
		require.Equal(t, api.SecretKey{ID: "e2", File: "key_encryption", Current: true, InFile: true, SigningKeys: 1}, w.secretKey(t, "key_encryption", "e2"))
	})
	t.Run("key-hash-key.md", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		working, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() { // none of them is refused at any time
			for working.Err() == nil {
				for _, client := range registrations {
					if a := w.send(w.As(client.ID), credentials("audience", "orders")); a.status == 401 {
						t.Errorf("%s was refused: %s", client.ID, a.raw)
					}
				}
				select {
				case <-working.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		out := w.runbook(t, "key-hash-key.md", "NEW=h2")
		stop()
		clients.Wait()
		require.NotEmpty(t, out)
		w.service.Stop()
		w.service = w.run()
		w.send(w.As("orders"), credentials()).token(t)
		require.False(t, w.secretKey(t, "key_hash", "h1").InFile)
	})
	t.Run("api-key.md", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		leaked, err := api.ParseKey(w.Keys["many"])
		require.NoError(t, err)
		token := w.send(w.As("many"), credentials()).token(t)
		w.runbook(t, "api-key.md", "CLIENT=many", "KEY="+leaked.ID())
		w.send(w.As("many"), credentials()).refused(t, 401, "invalid_client")
		keys, err := w.admin(t).Keys(t.Context(), "many")
		require.NoError(t, err)
		require.Len(t, keys, 2)
		for _, k := range keys {
			require.NotNil(t, k.RevokedAt, "the leaked one, and its successor by its holder")
		}
		_, err = w.admin(t).CreateKey(t.Context(), "many", api.NewKey{})
		require.NoError(t, err)
		require.Eventually(t, func() bool { return w.introspect(t, "orders", token).body["active"] == false }, 10*time.Second, 100*time.Millisecond)
	})
}
