package conformance_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// remember makes the end of the test search the log for a key.
func (d *deployment) remember(name, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.issued[name] = key
}

// register makes a client of its own for one test, with one key.
func (d *deployment) register(t *testing.T, spec api.ClientSpec) (id string, key api.IssuedKey) {
	t.Helper()
	spec.ID = "c-" + strings.ToLower(rand.Text())
	if spec.Audiences == nil {
		spec.Audiences = map[string]api.Audience{"billing": {Scopes: []string{"billing:read"}}}
	}
	_, err := d.admin.CreateClient(t.Context(), spec)
	require.NoError(t, err)
	return spec.ID, d.newKey(t, spec.ID, api.NewKey{})
}

func (d *deployment) newKey(t *testing.T, id string, want api.NewKey) api.IssuedKey {
	t.Helper()
	key, err := d.admin.CreateKey(t.Context(), id, want)
	require.NoError(t, err)
	d.remember(id+"/"+key.ID, key.Secret)
	return key
}

func (d *deployment) block(t *testing.T, id, reason string) {
	t.Helper()
	blocked := true
	_, err := d.admin.ChangeClient(t.Context(), id, api.ClientPatch{Blocked: &blocked, BlockReason: &reason})
	require.NoError(t, err)
}

// withSecret is a key with another secret and a right checksum: only its hash
// tells that it is wrong.
func withSecret(t *testing.T, key string) string {
	t.Helper()
	parsed, err := api.ParseKey(key)
	require.NoError(t, err)
	return parsed.OtherSecret().Reveal()
}

// stranger is a key that nobody registered.
func stranger(t *testing.T) string {
	t.Helper()
	key, err := api.GenerateKey("test")
	require.NoError(t, err)
	return key.Reveal()
}

// escaped writes every byte as %XX.
func escaped(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&out, "%%%02X", b)
	}
	return out.String()
}
