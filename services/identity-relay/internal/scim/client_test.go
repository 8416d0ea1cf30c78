package scim_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/internal/scim"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim/scimtest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

func newClient(s *scimtest.Server, attribute string) *scim.Client {
	return scim.New(scim.Config{BaseURL: s.URL, BearerFile: s.BearerFile(), UserID: attribute, HTTPClient: http.DefaultClient, PerSecond: 1e6})
}

func all(t *testing.T, c *scim.Client) (users []userlist.User, err error) {
	t.Helper()
	err = c.Each(t.Context(), func(page []userlist.User) error {
		users = append(users, page...)
		return nil
	})
	return users, err
}

func many(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("u-%04d", i))
	}
	return ids
}

func TestEach_ReadsEveryPage(t *testing.T) {
	t.Parallel()
	for _, byCursor := range []bool{false, true} {
		for _, n := range []int{0, 1, 99, 100, 101, 250} {
			s := scimtest.New(t, many(n)...)
			if byCursor {
				s.OfferCursor()
			}
			used := false
			s.Override(func(_ http.ResponseWriter, r *http.Request) bool {
				used = used || r.URL.Query().Has("cursor")
				return false
			})
			users, err := all(t, newClient(s, scim.AttributeID))
			require.NoError(t, err)
			require.Len(t, users, n)
			for i, u := range users {
				require.Equal(t, userlist.User{ID: fmt.Sprintf("u-%04d", i)}, u)
			}
			require.Equal(t, byCursor, used)
		}
	}
}

func TestClient_WhoIsNotActiveIsBlocked(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "a", "b")
	s.Set("b", false)
	for attribute, prefix := range map[string]string{scim.AttributeID: "", scim.AttributeExternalID: "ext-"} {
		c := newClient(s, attribute)
		users, err := all(t, c)
		require.NoError(t, err)
		require.Equal(t, []userlist.User{{ID: prefix + "a"}, {ID: prefix + "b", Banned: true}}, users)
		u, found, err := c.Lookup(t.Context(), prefix+"b")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, userlist.User{ID: prefix + "b", Banned: true}, u)
	}
	for active, banned := range map[string]bool{`"False"`: true, `"true"`: false, `null`: false, `true`: false, `false`: true} {
		s.Override(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = fmt.Fprintf(w, `{"id":"a","active":%s}`, active)
			return true
		})
		u, _, err := newClient(s, scim.AttributeID).Lookup(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, banned, u.Banned, active)
	}
}

func TestLookup_OfEveryLegalID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", ".", "..", "auth0|x y", `quo"te\`, "a/b?c#d", "ÄÖ", "%2e%2e"} {
		for attribute, prefix := range map[string]string{scim.AttributeID: "", scim.AttributeExternalID: "ext-"} {
			s := scimtest.New(t, "other")
			c := newClient(s, attribute)
			_, found, err := c.Lookup(t.Context(), prefix+id)
			require.NoError(t, err, "%q", id)
			require.False(t, found, "%q", id)
			s.Set(id, true)
			u, found, err := c.Lookup(t.Context(), prefix+id)
			require.NoError(t, err, "%q", id)
			require.True(t, found, "%q", id)
			require.Equal(t, prefix+id, u.ID)
		}
	}
}

func TestClient_UsesARenewedBearerAtOnce(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "a")
	c := newClient(s, scim.AttributeID)
	_, err := all(t, c)
	require.NoError(t, err)
	s.Renew(t, "second-token")
	_, err = all(t, c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.BearerFile(), []byte("wrong\n"), 0o600))
	_, _, err = c.Lookup(t.Context(), "nobody")
	require.ErrorIs(t, err, userlist.ErrAnswer, "401 says nothing about a user")
	for _, content := range []string{"", "two tokens"} {
		require.NoError(t, os.WriteFile(s.BearerFile(), []byte(content), 0o600))
		_, err = all(t, c)
		require.ErrorContains(t, err, "one token")
	}
	lost := scim.New(scim.Config{BaseURL: s.URL, BearerFile: filepath.Join(t.TempDir(), "none"), UserID: scim.AttributeID, HTTPClient: http.DefaultClient, PerSecond: 1})
	_, err = all(t, lost)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestClient_WaitsWhenToldTo(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t, "a")
	busy := 2
	s.Override(func(w http.ResponseWriter, _ *http.Request) bool {
		busy--
		if busy < 0 {
			return false
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	users, err := all(t, newClient(s, scim.AttributeID))
	require.NoError(t, err)
	require.Len(t, users, 1)
}

func TestEach_TakesNoListForCompleteThatIsNot(t *testing.T) {
	t.Parallel()
	const schemas = `"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"]`
	for name, c := range map[string]struct {
		cursor bool
		answer func(r *http.Request) (int, string)
		want   error
	}{
		"ends early": {answer: func(r *http.Request) (int, string) {
			if r.URL.Query().Get("startIndex") == "1" {
				return 200, `{` + schemas + `,"totalResults":3,"startIndex":1,"Resources":[{"id":"a"}]}`
			}
			return 200, `{` + schemas + `,"totalResults":3}`
		}, want: userlist.ErrIncomplete},
		"the first page again and again": {answer: func(*http.Request) (int, string) {
			return 200, `{` + schemas + `,"totalResults":4,"Resources":[{"id":"a"},{"id":"b"}]}`
		}, want: userlist.ErrAnswer},
		"another page than asked for": {answer: func(*http.Request) (int, string) {
			return 200, `{` + schemas + `,"totalResults":1,"startIndex":7,"Resources":[{"id":"a"}]}`
		}, want: userlist.ErrAnswer},
		"no total":       {answer: func(*http.Request) (int, string) { return 200, `{` + schemas + `,"Resources":[{"id":"a"}]}` }, want: userlist.ErrAnswer},
		"another schema": {answer: func(*http.Request) (int, string) { return 200, `{"totalResults":1,"Resources":[{"id":"a"}]}` }, want: userlist.ErrAnswer},
		"no ID":          {answer: func(*http.Request) (int, string) { return 200, `{` + schemas + `,"totalResults":1,"Resources":[{}]}` }, want: userlist.ErrAnswer},
		"active a number": {answer: func(*http.Request) (int, string) {
			return 200, `{` + schemas + `,"totalResults":1,"Resources":[{"id":"a","active":0}]}`
		}, want: userlist.ErrAnswer},
		"HTML":      {answer: func(*http.Request) (int, string) { return 200, `<html>` }, want: userlist.ErrAnswer},
		"forbidden": {answer: func(*http.Request) (int, string) { return 403, `{}` }, want: userlist.ErrAnswer},
		"cursor that stays": {cursor: true, answer: func(*http.Request) (int, string) {
			return 200, `{` + schemas + `,"nextCursor":"x"}`
		}, want: userlist.ErrAnswer},
		"cursor that ends early": {cursor: true, answer: func(*http.Request) (int, string) {
			return 200, `{` + schemas + `,"totalResults":2,"Resources":[{"id":"a"}]}`
		}, want: userlist.ErrIncomplete},
		"cursor that expired": {cursor: true, answer: func(r *http.Request) (int, string) {
			if r.URL.Query().Get("cursor") == "" {
				return 200, `{` + schemas + `,"nextCursor":"x","Resources":[{"id":"a"}]}`
			}
			return 400, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"expiredCursor"}`
		}, want: userlist.ErrAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scimtest.New(t)
			if c.cursor {
				s.OfferCursor()
			}
			s.Override(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/ServiceProviderConfig") {
					return false
				}
				status, body := c.answer(r)
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			})
			_, err := all(t, newClient(s, scim.AttributeID))
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestLookup_TakesNothingButNotFoundForAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"404 of a proxy":          {404, ``},
		"404 of another API":      {404, `{"code":"NOT_FOUND"}`},
		"404 with another status": {404, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"403"}`},
		"410":                     {410, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404"}`},
		"500":                     {500, ``},
		"200 without a user":      {200, `{}`},
		"200 of HTML":             {200, `<html>`},
		"somebody else":           {200, `{"id":"u2"}`},
		"two of them":             {200, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":2,"Resources":[{"id":"u1"},{"id":"u1"}]}`},
		"a list with a total":     {200, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1}`},
		"a list without a total":  {200, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scimtest.New(t)
			s.Override(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
				return true
			})
			for _, attribute := range scim.Attributes {
				_, found, err := newClient(s, attribute).Lookup(t.Context(), "u1")
				require.False(t, found)
				require.ErrorIs(t, err, userlist.ErrAnswer, attribute)
			}
		})
	}
}

func TestClient_ErrorsHoldNoID(t *testing.T) {
	t.Parallel()
	s := scimtest.New(t)
	gone := errors.New("the network is gone")
	c := scim.New(scim.Config{
		BaseURL: s.URL, BearerFile: s.BearerFile(), UserID: scim.AttributeID, PerSecond: 1e6,
		HTTPClient: &http.Client{Transport: broken{gone}},
	})
	_, _, err := c.Lookup(t.Context(), "secret-user")
	require.ErrorIs(t, err, gone)
	require.NotContains(t, err.Error(), "secret-user")
}

type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }
