package orders_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/orders"
	"github.com/shadowless/shadowless/services/orders/api"
)

// phonebook is the provider's look-up. It sends addresses whether or not they
// were asked for.
type phonebook struct {
	mu     sync.Mutex
	names  map[string]string
	fields [][]string
}

func (b *phonebook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var asked struct{ IDs, Fields []string }
	if r.Header.Get("X-Api-Key") != "directory-key" || json.NewDecoder(r.Body).Decode(&asked) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.fields = append(b.fields, asked.Fields)
	users := []map[string]any{}
	for _, id := range asked.IDs {
		if name, known := b.names[id]; known {
			users = append(users, map[string]any{"id": id, "name": name, "image": nil, "email": id + "@example.com"})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"users": users})
}

func (b *phonebook) rename(id, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[id] = name
}

func (b *phonebook) asked() [][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.fields)
}

func withNames(t *testing.T) (*phonebook, func(*orders.Config)) {
	t.Helper()
	b := &phonebook{names: map[string]string{"alice": "Alice Anders"}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	keyFile := filepath.Join(t.TempDir(), "directory.key")
	require.NoError(t, os.WriteFile(keyFile, []byte("directory-key\n"), 0o600))
	return b, func(c *orders.Config) { c.DirectoryURL, c.DirectoryAPIKeyFile = server.URL, keyFile }
}

func (w *world) happens(eventType, user string, version uint64) {
	w.t.Helper()
	e := identity.Event{ID: uuid.NewString(), Source: "/relay", Type: eventType, UserID: user, Version: version, Time: time.Now()}
	raw, err := identity.Encode(e)
	require.NoError(w.t, err)
	w.Publish(mailbox.Message{ID: e.ID, Subject: identity.Subject(e), Payload: raw})
}

// A name is kept for a minute at most, so only the events can be what changes it.
func TestNames_FollowTheIdentityEvents(t *testing.T) {
	t.Parallel()
	names, configure := withNames(t)
	w := start(t, configure)
	w.place("alice")
	staff := w.user("staff", may("list_any"))
	shows := func(want api.Customer) {
		require.Eventually(t, func() bool {
			page, err := w.client.OrdersOf(t.Context(), staff, "alice", 0, "")
			return err == nil && page.Customer != nil && *page.Customer == want
		}, within, every)
	}
	shows(api.Customer{Name: "Alice Anders"})
	names.rename("alice", "Alice Berg")
	w.happens(identity.TypeUserUpdated, "alice", 5)
	shows(api.Customer{Name: "Alice Berg"})
	w.happens(identity.TypeUserDeleted, "alice", 6)
	shows(api.Customer{Erased: true})
}

// A page of many customers asks the directory once, and shows what it can.
func TestTenantOrders_ShowEverybodysName(t *testing.T) {
	t.Parallel()
	names, configure := withNames(t)
	names.rename("bob", "Bob Brown")
	w := start(t, configure)
	alices, bobs, strangers := w.place("alice"), w.place("bob"), w.place("stranger")
	again := w.place("alice")
	_, err := w.client.Place(t.Context(), w.user("alice", authntest.Tenant("other")), "k", tea)
	require.NoError(t, err)
	alice, bob := &api.Customer{Name: "Alice Anders"}, &api.Customer{Name: "Bob Brown"}
	want := []api.TenantOrder{
		{Order: again, UserID: "alice", Customer: alice}, {Order: strangers, UserID: "stranger"},
		{Order: bobs, UserID: "bob", Customer: bob}, {Order: alices, UserID: "alice", Customer: alice},
	}
	staff := w.user("staff", may("list_any"))
	first, err := w.client.TenantOrders(t.Context(), staff, 3, "")
	require.NoError(t, err)
	require.Equal(t, want[:3], first.Orders)
	require.Len(t, names.asked(), 1)
	second, err := w.client.TenantOrders(t.Context(), staff, 3, first.NextCursor)
	require.NoError(t, err)
	require.Equal(t, api.TenantOrderPage{Orders: want[3:]}, second)
	empty, err := w.client.TenantOrders(t.Context(), w.user("staff", may("list_any"), authntest.Tenant("empty")), 0, "")
	require.NoError(t, err)
	require.Empty(t, empty.Orders)
	_, err = w.client.TenantOrders(t.Context(), staff, 101, "")
	refusal(t, err, 400, "invalid-page")
}

func TestContact_IsForStaffWhoMayKnow(t *testing.T) {
	t.Parallel()
	names, configure := withNames(t)
	names.rename("nobody", "No Customer")
	w := start(t, configure)
	w.place("alice")
	w.place("unknown")

	raw, err := w.client.OrdersOf(t.Context(), w.user("staff", may("list_any", "contact")), "alice", 0, "")
	require.NoError(t, err)
	require.Equal(t, "Alice Anders", raw.Customer.Name)
	for _, fields := range names.asked() {
		require.Empty(t, fields, "who may know and does not ask is not told")
	}
	contact := func(token, user string) error { _, err := w.client.Contact(t.Context(), token, user); return err }
	staff := w.user("staff", may("contact"))
	got, err := w.client.Contact(t.Context(), staff, "alice")
	require.NoError(t, err)
	require.Equal(t, api.Contact{Name: "Alice Anders", Email: "alice@example.com"}, got)

	refusal(t, contact(w.user("staff", may("list_any", "read")), "alice"), 403, "forbidden")
	refusal(t, contact(w.user("alice"), "alice"), 403, "forbidden")
	refusal(t, contact(w.serviceToken("billing", "contact"), "alice"), 403, "forbidden")
	refusal(t, contact(staff, "nobody"), 404, "contact-not-found")
	refusal(t, contact(staff, "unknown"), 404, "contact-not-found")
	refusal(t, contact(w.user("staff", may("contact"), authntest.Tenant("other")), "alice"), 404, "contact-not-found")
}

func TestContact_WithoutADirectoryThereIsNone(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.place("alice")
	_, err := w.client.Contact(t.Context(), w.user("staff", may("contact")), "alice")
	refusal(t, err, 404, "contact-not-found")
}
