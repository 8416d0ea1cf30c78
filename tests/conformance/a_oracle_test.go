package conformance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/meshtest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// noOracle: whatever is wrong with a credential, the answer is one and the same;
// only the audit knows more. That it costs the same is for the benchmark of
// services/token-exchange/internal/clients.
func noOracle(t *testing.T, d *deployment) {
	revoked, revokedKey := d.register(t, api.ClientSpec{})
	require.NoError(t, d.admin.RevokeKey(t.Context(), revoked, revokedKey.ID))
	blocked, blockedKey := d.register(t, api.ClientSpec{})
	d.block(t, blocked, "under test")
	expired, _ := d.register(t, api.ClientSpec{})
	ends := time.Now().Add(1500 * time.Millisecond)
	expiredKey := d.newKey(t, expired, api.NewKey{ExpiresAt: &ends})
	require.Eventually(t, func() bool { return time.Now().After(ends) }, meshtest.Within, meshtest.Every)
	wrong := withSecret(t, d.Keys["orders"])
	const reasons = `SELECT count(*) FROM audit WHERE key_id = $1 AND reason = $2 AND NOT granted`
	for _, attempt := range []struct{ who, id, key, reason string }{
		{"an unknown client", "nobody", stranger(t), ""},
		{"a wrong secret", "orders", wrong, "wrong_secret"},
		{"a revoked key", revoked, revokedKey.Secret, "key_revoked"},
		{"an expired key", expired, expiredKey.Secret, "key_expired"},
		{"a blocked client", blocked, blockedKey.Secret, "client_blocked"},
	} {
		first := d.send(t, basic("nobody", "x"), credentials())
		first.refused(t, 401, "invalid_client")
		for _, a := range []answer{
			d.send(t, basic(attempt.id, attempt.key), credentials()),
			d.send(t, nil, credentials("client_id", attempt.id, "client_secret", attempt.key)),
		} {
			require.Equal(t, first.status, a.status, attempt.who)
			require.Equal(t, first.raw, a.raw, attempt.who)
			for _, name := range []string{"Date", "X-Request-Id"} {
				a.header.Del(name)
				first.header.Del(name)
			}
			require.Equal(t, first.header, a.header, attempt.who)
		}
		if attempt.reason == "" {
			continue
		}
		key, err := api.ParseKey(attempt.key)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var n int
			return d.Database.Owner.QueryRow(t.Context(), reasons, key.ID(), attempt.reason).Scan(&n) == nil && n > 0
		}, meshtest.Within, meshtest.Every, "the audit says %s", attempt.reason)
	}
}

// onlyTLS: where plain HTTP is not switched on, it gets no token; and it cannot
// be switched on outside development.
func onlyTLS(t *testing.T, d *deployment) {
	cfg := d.Config
	cfg.Common = config.Common{Environment: config.Production, InsecurePlainHTTP: true, ShutdownTimeout: time.Second}
	var faults strings.Builder
	for _, fault := range cfg.Faults() {
		if fault != nil {
			faults.WriteString(fault.Error() + "\n")
		}
	}
	require.Contains(t, faults.String(), "INSECURE_PLAIN_HTTP is refused unless ENVIRONMENT is development")

	cert, key := certificate(t)
	cfg.Common = config.Common{
		Environment: config.Development, ListenAddress: "127.0.0.1:0", ShutdownTimeout: meshtest.Within,
		TLSCertFile: d.File("tls.crt", cert), TLSKeyFile: d.File("tls.key", key),
	}
	bound := make(chan string, 1)
	cfg.Ready = func(addr string) { bound <- addr }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tokenexchange.Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	addr := <-bound
	r := request(t, http.MethodPost, "http://"+addr+"/oauth/token", credentials().Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.As("orders")(r)
	a := d.do(t, r)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.NotContains(t, a.raw, "access_token")
}

// certificate of 127.0.0.1, signed by itself.
func certificate(t *testing.T) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	encode := func(kind string, raw []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
	}
	return encode("CERTIFICATE", cert), encode("PRIVATE KEY", der)
}

// endlessBody gives a form that never ends and counts what was taken.
type endlessBody struct{ n atomic.Int64 }

var _ io.Reader = (*endlessBody)(nil)

func (b *endlessBody) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat("x", len(p))), b.count(len(p))
}

func (b *endlessBody) count(n int) error {
	const most = 64 << 20
	if b.n.Add(int64(n)) > most {
		return io.EOF
	}
	return nil
}

func (b *endlessBody) sent() int64 { return b.n.Load() }
