package httpserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// renew writes a new pair whose files say that they changed at a time.
func renew(t *testing.T, certFile, keyFile string, serial int64, changed time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	put(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), changed)
	put(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), changed)
}

func put(t *testing.T, file string, content []byte, changed time.Time) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, content, 0o600))
	require.NoError(t, os.Chtimes(file, changed, changed))
}

// A renewed certificate is served without a restart; files that are half written
// leave the old one, until they are whole.
func TestCertificate_IsReadAgainWhenItsFilesChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	_, err := loadCertificate(certFile, keyFile)
	require.ErrorContains(t, err, "read the TLS files")
	began := time.Now().Add(-time.Hour)
	renew(t, certFile, keyFile, 1, began)
	c, err := loadCertificate(certFile, keyFile)
	require.NoError(t, err)
	serves := func() int64 {
		t.Helper()
		c.looked = time.Time{} // as if the last look was long ago
		pair, err := c.get(nil)
		require.NoError(t, err)
		return pair.Leaf.SerialNumber.Int64()
	}
	require.EqualValues(t, 1, serves())
	renew(t, certFile, keyFile, 2, began.Add(time.Minute))
	require.EqualValues(t, 2, serves())
	put(t, keyFile, []byte("half"), began.Add(2*time.Minute))
	require.EqualValues(t, 2, serves(), "a pair that does not load leaves the old one")
	renew(t, certFile, keyFile, 3, began.Add(3*time.Minute))
	require.EqualValues(t, 3, serves())
	require.NoError(t, os.Remove(certFile))
	require.EqualValues(t, 3, serves(), "so does one that is gone")
}
