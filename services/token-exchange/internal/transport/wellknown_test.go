package transport_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
	"github.com/shadowless/shadowless/services/token-exchange/internal/transport"
)

type published struct {
	set signing.KeySet
	ok  bool
}

func (p published) KeySet() (signing.KeySet, bool) { return p.set, p.ok }

func TestJWKS_SaysHowLongItMayBeKept(t *testing.T) {
	t.Parallel()
	ask := func(p published, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, transport.JWKSPath, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		transport.JWKS(p).ServeHTTP(w, r)
		return w
	}
	for age, header := range map[time.Duration]string{
		signing.MaxAge: "public, max-age=300, must-revalidate", signing.AlertMaxAge: "public, max-age=15, must-revalidate",
		400 * time.Millisecond: "public, max-age=0, must-revalidate",
	} {
		p := published{signing.KeySet{Document: []byte(`{"keys":[]}`), ETag: `"tag"`, MaxAge: age}, true}
		w := ask(p, "")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, header, w.Header().Get("Cache-Control"))
		w = ask(p, `"tag"`)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Equal(t, header, w.Header().Get("Cache-Control"), "what is kept is kept anew for that long")
	}
	require.Equal(t, http.StatusServiceUnavailable, ask(published{}, "").Code)
}
