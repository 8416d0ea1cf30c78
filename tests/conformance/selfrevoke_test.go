package conformance_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// selfRevoke is what whoever finds a key can do about it, without being its client.
func (d *deployment) selfRevoke(t *testing.T, key string) answer {
	t.Helper()
	body, err := json.Marshal(api.PresentedKey{Secret: key})
	require.NoError(t, err)
	r := request(t, http.MethodPost, d.a.url+"/v1/keys/revoke", string(body))
	r.Header.Set("Content-Type", "application/json")
	return d.do(t, r, key)
}
