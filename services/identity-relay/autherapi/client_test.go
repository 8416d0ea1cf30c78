package autherapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/autherapi"
	"github.com/shadowless/shadowless/services/identity-relay/internal/authertest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

func newClient(t *testing.T, url string) *autherapi.Client {
	t.Helper()
	return autherapi.New(autherapi.Config{
		BaseURL: url, CredentialFile: authertest.CredentialFile(t), HTTPClient: http.DefaultClient, PerSecond: 1e6, Now: time.Now,
	})
}

// recordedList is what a running Auther answered, without the limit and offset
// that its documentation promises.
const recordedList = `{"users":[{"name":"Alice A. Anders","email":"alice@example.com","emailVerified":true,"image":null,"createdAt":"2026-11-21T19:07:40.405Z","updatedAt":"2026-11-21T19:16:37.685Z","role":"user","banned":false,"banReason":null,"banExpires":null,"username":"alice","displayUsername":"alice","id":"RAzHr6Z8RwoSbZHSnhARQkhP0Qjh6dx1"},{"name":"Root Admin","email":"admin@example.com","emailVerified":true,"image":null,"createdAt":"2026-11-21T19:07:49.688Z","updatedAt":"2026-11-21T19:08:47.778Z","role":"admin","banned":true,"banReason":"test","banExpires":%s,"username":"rootadmin","displayUsername":"rootadmin","id":"tSaiAhuWbwY7lNco3GjiMn6GZPksyrrW"}],"total":2}`

func TestEach_ReadsWhatAutherAnswers(t *testing.T) {
	t.Parallel()
	for expires, banned := range map[string]bool{`null`: true, `"2020-01-01T00:00:00.000Z"`: false, `"2999-01-01T00:00:00.000Z"`: true} {
		idp := authertest.New(t)
		idp.OnList(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = fmt.Fprintf(w, recordedList, expires)
			return true
		})
		var all []userlist.User
		require.NoError(t, newClient(t, idp.URL).Each(t.Context(), func(users []userlist.User) error {
			all = append(all, users...)
			return nil
		}))
		require.Equal(t, []userlist.User{{ID: "RAzHr6Z8RwoSbZHSnhARQkhP0Qjh6dx1"}, {ID: "tSaiAhuWbwY7lNco3GjiMn6GZPksyrrW", Banned: banned}}, all, expires)
	}
}

func TestEach_ReadsEveryPage(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 1200 {
		ids = append(ids, fmt.Sprintf("u-%04d", i))
	}
	idp := authertest.New(t, ids...)
	seen := map[string]bool{}
	pages := 0
	require.NoError(t, newClient(t, idp.URL).Each(t.Context(), func(users []userlist.User) error {
		pages++
		for _, u := range users {
			seen[u.ID] = true
		}
		return nil
	}))
	require.Len(t, seen, 1201)
	require.Equal(t, 3, pages)
	require.Equal(t, 1, idp.SignIns())
}

func TestLookup_ErrorsDoNotNameTheUser(t *testing.T) {
	t.Parallel()
	idp := authertest.New(t)
	client := newClient(t, idp.URL)
	_, found, err := client.Lookup(t.Context(), "auth0|nobody & nothing")
	require.NoError(t, err)
	require.False(t, found)
	idp.OnLookup(func(w http.ResponseWriter, _ string) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	})
	_, _, err = client.Lookup(t.Context(), "auth0|secret")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestClient_WaitsWhenItIsTooFast(t *testing.T) {
	t.Parallel()
	idp := authertest.New(t, "u1")
	var asked atomic.Int64
	idp.OnLookup(func(w http.ResponseWriter, _ string) bool {
		if asked.Add(1) > 1 {
			return false
		}
		w.Header().Set("X-Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	u, found, err := newClient(t, idp.URL).Lookup(t.Context(), "u1")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "u1", u.ID)
}

func TestClient_SaysWhatIsWrongWithItsCredential(t *testing.T) {
	t.Parallel()
	idp := authertest.New(t)
	for name, content := range map[string]string{"not JSON": "hunter2", "no password": `{"email":"admin@example.com"}`, "wrong": `{"email":"a","password":"hunter2"}`} {
		path := filepath.Join(t.TempDir(), "credential")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		client := autherapi.New(autherapi.Config{BaseURL: idp.URL, CredentialFile: path, HTTPClient: http.DefaultClient, PerSecond: 1e6, Now: time.Now})
		_, _, err := client.Lookup(t.Context(), "u1")
		require.ErrorContains(t, err, "sign in as administrator", name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}
}

func TestClient_BoundsWhatItReads(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.SetCookie(w, &http.Cookie{Name: "better-auth.session_token", Value: "s"})
			return
		}
		chunk := make([]byte, 1<<20)
		for range 9 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	_, _, err := newClient(t, server.URL).Lookup(t.Context(), "u1")
	require.ErrorIs(t, err, userlist.ErrAnswer)
}
