package directory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/shadowless/shadowless/pkg/identity/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a directory behind a real HTTP server.
type book struct {
	mu     sync.Mutex
	users  map[string]directory.Profile
	calls  [][]string
	status int
	body   string
	during func()
	now    time.Time

	fields   [][]string
	redirect string
	before   chan struct{} // answers wait for its end
	waiting  atomic.Int64
}

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	before := b.before
	b.mu.Unlock()
	if before != nil {
		b.waiting.Add(1)
		<-before
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var asked struct{ IDs, Fields []string }
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || json.NewDecoder(r.Body).Decode(&asked) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.calls, b.fields = append(b.calls, asked.IDs), append(b.fields, asked.Fields)
	if b.redirect != "" {
		w.Header().Set("Location", b.redirect)
	}
	if b.status != 0 {
		w.WriteHeader(b.status)
		return
	}
	if b.body != "" {
		_, _ = w.Write([]byte(b.body))
		return
	}
	users := []map[string]any{}
	for _, id := range asked.IDs {
		if p, ok := b.users[id]; ok {
			users = append(users, map[string]any{"id": id, "name": p.Name, "image": p.AvatarURL, "email": p.Email, "erased": p.Erased, "later": 1})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"users": users})
	if b.during != nil {
		b.during()
	}
}

func (b *book) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *book) callCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

func setup(t *testing.T, change ...func(*directory.ClientConfig)) (*book, *directory.Client) {
	t.Helper()
	b := &book{users: map[string]directory.Profile{}, now: time.Now()}
	server := httptest.NewServer(b)
	httpClient := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		httpClient.CloseIdleConnections()
		server.Close()
	})
	config := directory.ClientConfig{URL: server.URL + "/lookup", HTTPClient: httpClient, Now: func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}}
	for _, c := range change {
		c(&config)
	}
	client, err := directory.NewClient(config)
	require.NoError(t, err)
	return b, client
}

func lookup(t *testing.T, c *directory.Client, ids ...string) map[string]directory.Profile {
	t.Helper()
	found, err := c.Lookup(context.Background(), ids)
	require.NoError(t, err)
	return found
}

func TestLookup_AsksForAPageInOneCallAndRemembers(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	ids := make([]string, 0, 201)
	for i := range 100 {
		id := fmt.Sprintf("auth0|%d ../", i)
		b.users[id] = directory.Profile{Name: fmt.Sprintf("N%d", i), AvatarURL: "https://a.example/x"}
		ids = append(ids, id)
	}
	found := lookup(t, c, append(ids, ids[0])...)
	require.Equal(t, b.users, found)
	require.Equal(t, 1, b.callCount())
	require.Equal(t, b.users, lookup(t, c, ids...))
	require.Equal(t, 1, b.callCount(), "from the cache")

	require.Empty(t, lookup(t, c, "unknown"))
	require.Empty(t, lookup(t, c, "unknown"))
	require.Equal(t, 2, b.callCount(), "that it is unknown is remembered too")
	require.Empty(t, lookup(t, c))

	for i := range 150 {
		ids = append(ids, fmt.Sprintf("more-%d", i))
	}
	lookup(t, c, ids...)
	require.Equal(t, 4, b.callCount(), "150 in two batches")
}

func TestLookup_StaleIsBetterThanNoneWithinTheStatedAge(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.users["a"] = directory.Profile{Name: "Ann"}
	lookup(t, c, "a")
	b.set(func() { b.status, b.now = http.StatusServiceUnavailable, b.now.Add(59*time.Minute) })
	require.Equal(t, "Ann", lookup(t, c, "a")["a"].Name)

	found, err := c.Lookup(context.Background(), []string{"a", "b"})
	require.ErrorContains(t, err, "503")
	require.Equal(t, "Ann", found["a"].Name, "what is known comes with the error")

	b.set(func() { b.now = b.now.Add(2 * time.Minute) })
	_, err = c.Lookup(context.Background(), []string{"a"})
	require.Error(t, err, "older than an hour")
}

func TestLookup_AsksAgainAfterTheTTL(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.users["a"] = directory.Profile{Name: "Ann"}
	lookup(t, c, "a")
	b.set(func() { b.users["a"], b.now = directory.Profile{Name: "Anna"}, b.now.Add(time.Minute) })
	require.Equal(t, "Anna", lookup(t, c, "a")["a"].Name)
}

func TestForget_DropsAtOnceEvenDuringALookup(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.users["a"] = directory.Profile{Name: "Ann"}
	// The user is erased while the directory's older answer is on its way.
	b.during = func() {
		b.users["a"] = directory.Profile{Name: "Ann", Erased: true}
		b.during = nil
		c.Forget("a")
	}
	require.Equal(t, "Ann", lookup(t, c, "a")["a"].Name)
	require.Equal(t, directory.Profile{Erased: true}, lookup(t, c, "a")["a"], "an erased user has no name left")
}

func TestLookup_CacheIsBounded(t *testing.T) {
	t.Parallel()
	b, c := setup(t, func(config *directory.ClientConfig) { config.MaxEntries = 2 })
	for _, id := range []string{"a", "b", "a", "c", "a"} { // c drops b, a was used since
		lookup(t, c, id)
	}
	require.Equal(t, 3, b.callCount())
	lookup(t, c, "b")
	require.Equal(t, 4, b.callCount())
}

func TestLookup_RefusesAnswersThatAreNotAsAgreed(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not JSON":  "<html>",
		"too large": `{"users":[]}` + string(make([]byte, 1<<20)),
		"no list":   `{"users":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := setup(t)
			b.body = body
			_, err := c.Lookup(context.Background(), []string{"a"})
			require.ErrorContains(t, err, "not as agreed")
		})
	}
}

func TestNewClient_NeedsAnAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "/lookup", "ftp://x", "http://", "::"} {
		_, err := directory.NewClient(directory.ClientConfig{URL: address})
		require.Error(t, err, address)
	}
}
