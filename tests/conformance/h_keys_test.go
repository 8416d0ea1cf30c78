package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
)

// apiKeys: the long-lived secret.
var apiKeys = map[string]check{
	"H2": overlap,
	"H3": blocked,
	"H4": addresses,
	"H5": limits,
	"H1": func(t *testing.T, d *deployment) {
		between := newWire(t, d.Database.URL)
		r := d.start(func(c *tokenexchange.Config) { c.DatabaseURLFile = d.File("database", between.url+"\n") })
		to := r.url + "/oauth/token"
		mark := between.count()
		d.post(t, to, basic("orders", stranger(t)), credentials()).refused(t, 401, "invalid_client")
		lookups := between.since(mark, "api_keys")
		require.Len(t, lookups, 1, "a key of good form is looked up once")

		good := d.Keys["orders"]
		malformed := []string{
			good[:len(good)-1], good[:len(good)-1] + flipped(good[len(good)-1]), strings.Replace(good, "_test_", "_live_", 1), strings.ToUpper(good),
			"x", "sl_", "sl_test___", strings.Repeat("sl_test_", 1000), good + " ", " " + good, secretPart(good), "' OR 1=1 --",
		}
		mark = between.count()
		for range 10 {
			for _, key := range malformed {
				d.post(t, to, basic("orders", key), credentials()).refused(t, 401, "invalid_client")
				d.post(t, to, nil, credentials("client_id", "orders", "client_secret", key)).refused(t, 401, "invalid_client")
				q := request(t, http.MethodPost, r.url+"/api/auth/api-key/exchange", `{"apiKey":"`+key+`"}`)
				require.Contains(t, []int{http.StatusUnauthorized, http.StatusBadRequest}, d.do(t, q, key).status)
			}
		}
		require.Empty(t, between.since(mark, lookups[0]), "none was looked up")
		require.Less(t, between.count()-mark, 30*len(malformed)/4, "what is done in the background is not done for each")
		d.post(t, to, d.As("orders"), credentials()).token(t)
	},
}

func flipped(letter byte) string {
	if letter == 'A' {
		return "B"
	}
	return "A"
}
