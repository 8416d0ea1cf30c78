package tokenexchange_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// childVariable makes the test binary be the service.
const childVariable = "SHADOWLESS_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		serveChild()
		return
	}
	identitytest.Main(m)
}

func serveChild() {
	cfg, err := config.Load[tokenexchange.Config](tokenexchange.Prefix, os.Environ())
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err == nil {
		err = tokenexchange.Run(context.Background(), cfg, log)
	}
	log.Error("ended", "cause", err)
	os.Exit(1)
}

// TestAudit_ACrashLosesAtMostABatch kills the service and finds what the table
// lacks in the log.
func TestAudit_ACrashLosesAtMostABatch(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.service.Stop()
	child := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this very binary
	child.Env = append(os.Environ(), childVariable+"=1",
		"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true", "LISTEN_ADDRESS=127.0.0.1:0",
		"AUTHN_CONFIG_FILE="+w.Config.AuthnConfigFile, "NATS_URL="+w.Config.NATSURL, "DATABASE_URL_FILE="+w.Config.DatabaseURLFile,
		"TOMBSTONE_KEY_FILE="+w.Config.TombstoneKeyFile, "TOKEN_EXCHANGE_ISSUER="+w.Issuer, "TOKEN_EXCHANGE_POLICY_FILE="+w.Config.PolicyFile,
		"TOKEN_EXCHANGE_CLIENTS_FILE="+w.Config.ClientsFile, "TOKEN_EXCHANGE_KEY_HASH_KEY_FILE="+w.Config.KeyHashKeyFile,
		"TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE="+w.Config.KeyEncryptionKeyFile,
	)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var mu sync.Mutex
	logged := map[string]bool{} // token IDs
	bound := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line struct {
				Msg, Address string
				TokenID      string `json:"token_id"`
			}
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue
			}
			if line.Msg == "listening" {
				bound <- line.Address
			}
			mu.Lock()
			logged[line.TokenID] = true
			mu.Unlock()
		}
	}()
	select {
	case address := <-bound:
		w.Front.Store(&url.URL{Scheme: "http", Host: address})
	case <-time.After(meshtest.Within):
		t.Fatal("the service did not listen")
	}
	require.Eventually(t, func() bool { return w.send(w.As("orders"), credentials()).status == 200 }, meshtest.Within, meshtest.Every)
	var issued []string
	written := func() (n int) {
		require.NoError(t, w.Database.Owner.QueryRow(t.Context(), "SELECT count(*) FROM audit WHERE token_id = ANY($1)", issued).Scan(&n))
		return n
	}
	for len(issued) < 300 || written() == 0 { // a batch was written, and more came after it
		id, ok := claimsOf(t, w.send(w.As("orders"), credentials()).token(t))["jti"].(string)
		require.True(t, ok)
		issued = append(issued, id)
	}
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // it was killed
	<-read
	rows := map[string]bool{}
	list, err := w.Database.Owner.Query(t.Context(), "SELECT token_id FROM audit")
	require.NoError(t, err)
	defer list.Close()
	for list.Next() {
		var id string
		require.NoError(t, list.Scan(&id))
		rows[id] = true
	}
	require.NoError(t, list.Err())
	missing := 0
	for _, id := range issued {
		if !rows[id] {
			missing++
			require.True(t, logged[id], "a token is neither in the table nor in the log")
		}
	}
	t.Logf("%d of %d records were lost with the process; the log has them", missing, len(issued))
	require.Less(t, missing, len(issued), "earlier batches are in the table")
}
