// Package holdingstest holds a service to the routes of package holdings: who
// may call them, and what they tell.
package holdingstest

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/openapitest"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Service under test. UserID has rows there, and Token makes one of a service
// with one scope.
type Service struct {
	URL, UserID string
	Token       func(client, scope string) string
	// UserToken is refused, whatever scope it claims.
	UserToken string
}

// Told is what the service answered about its user.
type Told struct {
	Places  []participant.HeldPlace
	Tables  map[string][]map[string]any
	Pages   []participant.ExportPage
	Preview participant.RekeyPreview
}

// Check asks everything and returns what the service told. The answers are held
// to openapi.yaml of the test's folder.
func Check(t *testing.T, s Service) Told {
	t.Helper()
	c := caller{t: t, s: s, http: openapitest.Load(t, "openapi.yaml").Client(t)}
	user := "/v1/identity/users/" + userids.Encode(s.UserID)
	routes := map[string]string{
		"/v1/identity/holdings":                      holdings.ListScope,
		user + "/export":                             holdings.ExportScope,
		user + "/rekey/" + userids.Encode("nobody²"): holdings.PreviewScope,
	}
	for path, scope := range routes {
		for name, refused := range map[string]struct {
			token  string
			status int
		}{
			"nobody":                   {"", http.StatusUnauthorized},
			"the relay without scope":  {s.Token("identity-relay", ""), http.StatusForbidden},
			"the relay, another scope": {s.Token("identity-relay", userids.Scope), http.StatusForbidden},
			"another service":          {s.Token("orders", scope), http.StatusForbidden},
			"the operator":             {s.Token("operator", scope), http.StatusForbidden},
			"a user":                   {s.UserToken, http.StatusForbidden},
		} {
			require.Equal(t, refused.status, c.get(path, refused.token, nil), "%s at %s", name, path)
		}
	}
	bad := map[string]string{
		"/v1/identity/holdings?after=???":                    holdings.ListScope,
		user + "/export?cursor=no":                           holdings.ExportScope,
		"/v1/identity/users/AA/export":                       holdings.ExportScope, // a control character
		user + "/rekey/" + userids.Encode(s.UserID):          holdings.PreviewScope,
		"/v1/identity/users/AA/rekey/" + userids.Encode("n"): holdings.PreviewScope,
	}
	for path, scope := range bad {
		require.Equal(t, http.StatusBadRequest, c.get(path, s.Token("identity-relay", scope), nil), path)
	}
	return c.told(user)
}

// Tell is Check without the refusals.
func Tell(t *testing.T, s Service) Told {
	t.Helper()
	c := caller{t: t, s: s, http: openapitest.Load(t, "openapi.yaml").Client(t)}
	return c.told("/v1/identity/users/" + userids.Encode(s.UserID))
}

type caller struct {
	t    *testing.T
	s    Service
	http *http.Client
}

func (c caller) told(user string) Told {
	told := Told{Tables: map[string][]map[string]any{}}
	for after := ""; ; {
		var page holdings.Page
		c.must("/v1/identity/holdings?limit=1&after="+after, holdings.ListScope, &page)
		for _, h := range page.Holdings {
			if h.UserID == userids.Encode(c.s.UserID) {
				told.Places = h.Places
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	for cursor := ""; ; {
		var page participant.ExportPage
		c.must(user+"/export?cursor="+cursor, holdings.ExportScope, &page)
		told.Pages = append(told.Pages, page)
		for _, raw := range page.Rows {
			var row map[string]any
			require.NoError(c.t, json.Unmarshal(raw, &row))
			for _, w := range page.Withheld {
				require.NotContains(c.t, row, w.Column)
			}
			told.Tables[page.Table] = append(told.Tables[page.Table], row)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	c.must(user+"/rekey/"+userids.Encode("nobody²"), holdings.PreviewScope, &told.Preview)
	return told
}

func (c caller) must(path, scope string, into any) {
	c.t.Helper()
	require.Equal(c.t, http.StatusOK, c.get(path, c.s.Token("identity-relay", scope), into), path)
}

func (c caller) get(path, token string, into any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.s.URL+path, nil)
	require.NoError(c.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close() //nolint:errcheck // read whole
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	if into != nil && resp.StatusCode == http.StatusOK {
		require.NoError(c.t, json.Unmarshal(raw, into), string(raw))
	}
	return resp.StatusCode
}
