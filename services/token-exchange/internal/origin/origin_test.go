package origin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/origin"
)

func TestOf_H4_BelievesOnlyTrustedProxies(t *testing.T) {
	t.Parallel()
	proxies, err := origin.ParseProxies([]string{"10.0.0.0/8", "fd00::/8"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"direct":                             {"203.0.113.7:1", nil, "203.0.113.7"},
		"forged from an untrusted hop":       {"203.0.113.7:1", []string{"192.0.2.1"}, "203.0.113.7"},
		"through a proxy":                    {"10.1.1.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"forged before the proxy":            {"10.1.1.1:1", []string{"198.51.100.1, 192.0.2.1"}, "192.0.2.1"},
		"forged as a proxy":                  {"10.1.1.1:1", []string{"10.2.2.2, 192.0.2.1"}, "192.0.2.1"},
		"through two proxies":                {"10.1.1.1:1", []string{"192.0.2.1, 10.2.2.2"}, "192.0.2.1"},
		"through two proxies, two headers":   {"10.1.1.1:1", []string{"192.0.2.1", "10.2.2.2"}, "192.0.2.1"},
		"with a port":                        {"10.1.1.1:1", []string{"192.0.2.1:55"}, "192.0.2.1"},
		"IPv6":                               {"[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv4 in IPv6":                       {"[::ffff:10.1.1.1]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"a proxy that forwards nothing":      {"10.1.1.1:1", nil, ""},
		"a proxy that forwards nonsense":     {"10.1.1.1:1", []string{"unknown"}, ""},
		"nonsense between proxy and caller":  {"10.1.1.1:1", []string{"192.0.2.1, x, 10.2.2.2"}, ""},
		"proxies alone":                      {"10.1.1.1:1", []string{"10.3.3.3, 10.2.2.2"}, ""},
		"more hops than anyone has":          {"10.1.1.1:1", []string{"192.0.2.1" + strings.Repeat(",10.2.2.2", 40)}, ""},
		"a connection that has no address":   {"@", []string{"192.0.2.1"}, ""},
		"an empty header from a trusted hop": {"10.1.1.1:1", []string{""}, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = c.peer
		for _, f := range c.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		require.Equal(t, c.want, proxies.Of(r).String(), name)
		if c.want == "" {
			require.False(t, proxies.Of(r).Client().IsValid(), name)
		}
	}
	_, err = origin.ParseProxies([]string{"10.0.0.1"})
	require.ErrorContains(t, err, "10.0.0.1")
}

func TestBucket_CountsAnIPv6CustomerOnce(t *testing.T) {
	t.Parallel()
	proxies, err := origin.ParseProxies([]string{"10.0.0.0/8"})
	require.NoError(t, err)
	bucket := func(peer string) string {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.RemoteAddr = peer
		return proxies.Of(r).Bucket()
	}
	require.Equal(t, bucket("[2001:db8::1]:1"), bucket("[2001:db8::ffff:2]:1"))
	require.NotEqual(t, bucket("[2001:db8::1]:1"), bucket("[2001:db8:0:1::1]:1"))
	require.Equal(t, "10.1.1.1", bucket("10.1.1.1:1"), "unknown: whoever is connected")
	require.Equal(t, "192.0.2.1", bucket("192.0.2.1:1"))
}
