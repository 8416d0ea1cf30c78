package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/authn"
	billing "github.com/shadowless/shadowless/services/billing/api"
	orders "github.com/shadowless/shadowless/services/orders/api"
)

// testShop is orders and billing in one small server. It verifies the tokens
// that it is sent and keeps each user's orders apart.
type testShop struct {
	*httptest.Server
	verifier *authn.Verifier

	mu     sync.Mutex
	down   bool
	placed map[string]map[uuid.UUID]*orders.Order // by user
	keys   map[string]uuid.UUID                   // idempotency
}

const refundLimit = 5000

func newTestShop(t *testing.T, verifier *authn.Verifier) *testShop {
	t.Helper()
	s := &testShop{verifier: verifier, placed: map[string]map[uuid.UUID]*orders.Order{}, keys: map[string]uuid.UUID{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orders", s.list)
	mux.HandleFunc("POST /v1/orders", s.place)
	mux.HandleFunc("GET /v1/orders/{id}", s.one)
	mux.HandleFunc("POST /v1/orders/{id}/cancel", s.cancel)
	mux.HandleFunc("POST /v1/invoices/{id}/payments", s.pay)
	mux.HandleFunc("POST /v1/invoices/{id}/refunds", s.refund)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			panic(http.ErrAbortHandler)
		}
		p, err := s.verifier.Authenticate(r)
		if err != nil {
			authn.WriteError(w, err)
			return
		}
		mux.ServeHTTP(w, r.WithContext(authn.NewContext(r.Context(), p)))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *testShop) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *testShop) count(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.placed[user])
}

func owner(r *http.Request) string {
	p, _ := authn.FromContext(r.Context())
	return p.UserID()
}

func (s *testShop) list(w http.ResponseWriter, r *http.Request) {
	page := orders.OrderPage{Orders: []orders.Order{}}
	for _, o := range s.placed[owner(r)] {
		page.Orders = append(page.Orders, *o)
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *testShop) place(w http.ResponseWriter, r *http.Request) {
	var in orders.NewOrder
	key := r.Header.Get("Idempotency-Key")
	if json.NewDecoder(r.Body).Decode(&in) != nil || key == "" {
		problem.WriteDocument(w, problem.ErrInvalidRequest)
		return
	}
	mine := s.placed[owner(r)]
	if mine == nil {
		mine = map[uuid.UUID]*orders.Order{}
		s.placed[owner(r)] = mine
	}
	if id, ok := s.keys[key]; ok {
		writeJSON(w, http.StatusCreated, mine[id])
		return
	}
	id, invoice := uuid.New(), uuid.New()
	o := &orders.Order{ID: id, Status: orders.StatusPlaced, Currency: in.Currency, Items: in.Items, InvoiceID: &invoice, Version: 1, CreatedAt: time.Now().UTC()}
	for _, item := range in.Items {
		o.TotalMinor += item.Quantity * item.UnitPriceMinor
	}
	mine[id], s.keys[key] = o, id
	writeJSON(w, http.StatusCreated, o)
}

// find finds one's own order by its ID or its invoice's.
func (s *testShop) find(w http.ResponseWriter, r *http.Request) *orders.Order {
	for id, o := range s.placed[owner(r)] {
		if id.String() == r.PathValue("id") || o.InvoiceID.String() == r.PathValue("id") {
			return o
		}
	}
	problem.WriteDocument(w, problem.New(http.StatusNotFound, "order-not-found", "There is no such order."))
	return nil
}

func (s *testShop) one(w http.ResponseWriter, r *http.Request) {
	if o := s.find(w, r); o != nil {
		writeJSON(w, http.StatusOK, o)
	}
}

func (s *testShop) cancel(w http.ResponseWriter, r *http.Request) {
	if o := s.find(w, r); o != nil {
		o.Status = orders.StatusCanceled
		writeJSON(w, http.StatusOK, o)
	}
}

func (s *testShop) pay(w http.ResponseWriter, r *http.Request) { s.move(w, r, orders.StatusPaid) }
func (s *testShop) refund(w http.ResponseWriter, r *http.Request) {
	s.move(w, r, orders.StatusRefunded)
}

func (s *testShop) move(w http.ResponseWriter, r *http.Request, status string) {
	var in billing.Amount
	o := s.find(w, r)
	switch {
	case o == nil:
	case json.NewDecoder(r.Body).Decode(&in) != nil || in.AmountMinor != o.TotalMinor || r.Header.Get("Idempotency-Key") == "":
		problem.WriteDocument(w, problem.ErrInvalidRequest)
	case strings.HasSuffix(r.URL.Path, "/refunds") && in.AmountMinor > refundLimit:
		problem.WriteDocument(w, problem.New(http.StatusForbidden, "refund-refused", "This amount is too large for you to refund."))
	default:
		o.Status = status
		writeJSON(w, http.StatusOK, billing.Invoice{ID: *o.InvoiceID, OrderID: o.ID, Status: status, AmountMinor: o.TotalMinor})
	}
}
