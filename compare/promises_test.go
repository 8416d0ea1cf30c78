package compare_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// promises are what an application may expect of either archetype.
var promises = map[string]func(t *testing.T, s *system){
	"an order is placed, read, listed and canceled": placeReadCancel,
	"a repeated call is answered alike":             repeated,
	"many calls under one key make one order":       onceUnderOneKey,
	"what is somebody else's does not exist":        ownership,
	"what is no order is refused":                   refused,
	"lists come in pages":                           pages,
	"an invoice is paid and refunded":               payAndRefund,
	"a canceled order's invoice is void":            cancelVoids,
	"staff see names, and new ones":                 names,
	"staff can reach a customer":                    contact,
	"who may not is refused":                        permissions,
	"a deleted user writes nothing and has no name": deleted,
}

func TestPromises(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) *system{
		"federated IDs":              federated,
		"shadow users":               func(t *testing.T) *system { t.Helper(); return shadow(t) },
		"shadow users, one database": func(t *testing.T) *system { t.Helper(); return shadow(t, oneDatabase) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			for what, holds := range promises {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					holds(t, s)
				})
			}
		})
	}
}

func placeReadCancel(t *testing.T, s *system) {
	ctx, token := t.Context(), s.user("pat")
	o, err := s.orders.Place(ctx, token, "k", tea)
	require.NoError(t, err)
	require.Equal(t, ordersapi.StatusPlaced, o.Status)
	require.EqualValues(t, teaCosts, o.TotalMinor)
	require.Equal(t, tea.Items, o.Items)
	read, err := s.orders.Order(ctx, token, o.ID)
	require.NoError(t, err)
	require.Equal(t, o, read)
	list, err := s.orders.Orders(ctx, token, 0, "")
	require.NoError(t, err)
	require.Equal(t, []ordersapi.Order{o}, list.Orders)
	_, err = s.orders.Cancel(ctx, token, o.ID, o.Version+1)
	refusal(t, err, 412, "version-changed")
	canceled, err := s.orders.Cancel(ctx, token, o.ID, o.Version)
	require.NoError(t, err)
	require.Equal(t, ordersapi.StatusCanceled, canceled.Status)
	again, err := s.orders.Cancel(ctx, token, o.ID, 0)
	require.NoError(t, err, "to ask twice is no fault")
	require.Equal(t, ordersapi.StatusCanceled, again.Status)
}

func repeated(t *testing.T, s *system) {
	ctx, token := t.Context(), s.user("rea")
	first, err := s.orders.Place(ctx, token, "k", tea)
	require.NoError(t, err)
	again, err := s.orders.Place(ctx, token, "k", tea)
	require.NoError(t, err)
	require.Equal(t, first, again)
	other := tea
	other.Items = tea.Items[:1]
	_, err = s.orders.Place(ctx, token, "k", other)
	refusal(t, err, 422, "idempotency-key-reused")
	others, err := s.orders.Place(ctx, s.user("reb"), "k", tea)
	require.NoError(t, err)
	require.NotEqual(t, first.ID, others.ID)
}

func onceUnderOneKey(t *testing.T, s *system) {
	var wg sync.WaitGroup
	ids := make([]uuid.UUID, 8)
	for n := range ids {
		wg.Go(func() {
			o, err := s.orders.Place(t.Context(), s.user("max"), "k", tea)
			if err != nil {
				t.Error(err)
			}
			ids[n] = o.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func ownership(t *testing.T, s *system) {
	ctx := t.Context()
	o, inv := s.paid(t, "own")
	for name, token := range map[string]string{"somebody else": s.user("eve"), "another tenant": s.user("own", authntest.Tenant("other"))} {
		_, err := s.orders.Order(ctx, token, o.ID)
		refusal(t, err, 404, "order-not-found")
		_, err = s.orders.Cancel(ctx, token, o.ID, 0)
		refusal(t, err, 404, "order-not-found")
		_, err = s.billing.Invoice(ctx, token, inv.ID)
		refusal(t, err, 404, "invoice-not-found")
		list, err := s.orders.Orders(ctx, token, 0, "")
		require.NoError(t, err, name)
		require.Empty(t, list.Orders, name)
	}
}

func refused(t *testing.T, s *system) {
	for name, c := range map[string]struct {
		in   ordersapi.NewOrder
		code string
	}{
		"no items":    {ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{}}, "invalid-items"},
		"no currency": {ordersapi.NewOrder{Items: tea.Items}, "invalid-currency"},
		"too much":    {ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "a", Quantity: 1, UnitPriceMinor: 1_000_000_000_001}}}, "total-too-large"},
	} {
		_, err := s.orders.Place(t.Context(), s.user("ref"), "k", c.in)
		var refused *ordersapi.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, c.code, refused.Code, name)
	}
	_, err := s.orders.Place(t.Context(), s.user("ref"), "", tea)
	refusal(t, err, 400, "idempotency-key-required")
}

func pages(t *testing.T, s *system) {
	ctx := t.Context()
	var want []uuid.UUID
	for range 5 {
		want = append([]uuid.UUID{s.place(t, "pag").ID}, want...)
	}
	var got []uuid.UUID
	for cursor := ""; ; {
		page, err := s.orders.Orders(ctx, s.user("pag"), 2, cursor)
		require.NoError(t, err)
		for _, o := range page.Orders {
			got = append(got, o.ID)
			require.Len(t, o.Items, 2)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, want, got)
	invoices, err := s.billing.Invoices(ctx, s.user("pag"), 3, "")
	require.NoError(t, err)
	require.Len(t, invoices.Invoices, 3)
	rest, err := s.billing.Invoices(ctx, s.user("pag"), 3, invoices.NextCursor)
	require.NoError(t, err)
	require.Len(t, rest.Invoices, 2)
	_, err = s.orders.Orders(ctx, s.user("pag"), 101, "")
	refusal(t, err, 400, "invalid-page")
}

func payAndRefund(t *testing.T, s *system) {
	ctx, token := t.Context(), s.user("pay")
	o := s.place(t, "pay")
	_, err := s.billing.Pay(ctx, token, "pay", *o.InvoiceID, teaCosts-1, 0)
	refusal(t, err, 422, "wrong-amount")
	paid, err := s.billing.Pay(ctx, token, "pay", *o.InvoiceID, teaCosts, 0)
	require.NoError(t, err)
	require.Equal(t, billingapi.StatusPaid, paid.Status)
	again, err := s.billing.Pay(ctx, token, "pay", *o.InvoiceID, teaCosts, 0)
	require.NoError(t, err)
	require.Equal(t, paid, again)
	s.becomes(t, "pay", o.ID, ordersapi.StatusPaid)
	_, err = s.orders.Cancel(ctx, token, o.ID, 0)
	refusal(t, err, 409, "order-not-cancelable")

	_, err = s.billing.Refund(ctx, token, "above", *o.InvoiceID, refundLimit+1, 0)
	refusal(t, err, 403, "forbidden")
	part, err := s.billing.Refund(ctx, token, "part", *o.InvoiceID, refundLimit, 0)
	require.NoError(t, err)
	require.Equal(t, billingapi.StatusPaid, part.Status)
	again, err = s.billing.Refund(ctx, token, "part", *o.InvoiceID, refundLimit, 0)
	require.NoError(t, err)
	require.Equal(t, part, again)
	_, err = s.billing.Refund(ctx, s.staff("acme"), "rest", *o.InvoiceID, teaCosts-refundLimit, 0)
	require.NoError(t, err)
	s.becomes(t, "pay", o.ID, ordersapi.StatusRefunded)
}

func cancelVoids(t *testing.T, s *system) {
	ctx, token := t.Context(), s.user("can")
	o := s.place(t, "can")
	_, err := s.orders.Cancel(ctx, token, o.ID, 0)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		inv, err := s.billing.Invoice(ctx, token, *o.InvoiceID)
		return err == nil && inv.Status == billingapi.StatusVoid
	}, within, every)
	_, err = s.billing.Pay(ctx, token, "k", *o.InvoiceID, teaCosts, 0)
	refusal(t, err, 409, "invoice-not-open")
}

func names(t *testing.T, s *system) {
	ctx, tenant := t.Context(), authntest.Tenant("names")
	for id, name := range map[string]string{"nam": "Nam Eins", "nem": "Nem Zwei"} {
		s.idp.named(id, name)
		s.place(t, id, tenant)
		s.tell(identity.TypeUserCreated, id)
	}
	staff := s.staff("names")
	shown := func() map[string]string {
		page, err := s.orders.TenantOrders(ctx, staff, 50, "")
		require.NoError(t, err)
		all := map[string]string{}
		for _, o := range page.Orders {
			if o.Customer != nil {
				all[o.UserID] = o.Customer.Name
			}
		}
		return all
	}
	require.Equal(t, map[string]string{"nam": "Nam Eins", "nem": "Nem Zwei"}, shown())
	of, err := s.orders.OrdersOf(ctx, staff, "nam", 0, "")
	require.NoError(t, err)
	require.Equal(t, &ordersapi.Customer{Name: "Nam Eins"}, of.Customer)

	s.idp.named("nam", "Nam Neu")
	s.tell(identity.TypeUserUpdated, "nam")
	require.Eventually(t, func() bool { return shown()["nam"] == "Nam Neu" }, within, every)
	require.Equal(t, "Nem Zwei", shown()["nem"])
	elsewhere, err := s.orders.TenantOrders(ctx, s.staff("empty"), 50, "")
	require.NoError(t, err)
	require.Empty(t, elsewhere.Orders)
}

func contact(t *testing.T, s *system) {
	tenant := authntest.Tenant("contacts")
	s.idp.set("con", func(u *person) { u.Name, u.Email = "Con Tact", "con@example.com" })
	s.place(t, "con", tenant)
	s.tell(identity.TypeUserCreated, "con")
	got, err := s.orders.Contact(t.Context(), s.staff("contacts"), "con")
	require.NoError(t, err)
	require.Equal(t, ordersapi.Contact{Name: "Con Tact", Email: "con@example.com"}, got)
	_, err = s.orders.Contact(t.Context(), s.staff("contacts"), "nobody")
	refusal(t, err, 404, "contact-not-found")
	_, err = s.orders.Contact(t.Context(), s.staff("empty"), "con")
	refusal(t, err, 404, "contact-not-found")
}

func permissions(t *testing.T, s *system) {
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"no token":         {"", 401, "missing-token"},
		"another audience": {s.user("per", authntest.Audience("console")), 401, "invalid-token"},
		"no permission":    {s.user("per", authntest.Permissions(map[string][]string{})), 403, "forbidden"},
		"a service":        {s.Exchange.Issuer().ServiceToken("billing", authntest.Audience("orders"), authntest.Scope("read")), 403, "forbidden"},
	} {
		_, err := s.orders.Orders(t.Context(), c.token, 0, "")
		var refused *ordersapi.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, c.status, refused.Status, name)
		require.Equal(t, c.code, refused.Code, name)
	}
	_, err := s.orders.TenantOrders(t.Context(), s.user("per"), 0, "")
	refusal(t, err, 403, "forbidden")
}

func deleted(t *testing.T, s *system) {
	ctx, tenant := t.Context(), authntest.Tenant("deleted")
	s.idp.named("del", "Del Eted")
	s.idp.named("sta", "Sta Ying")
	s.place(t, "del", tenant)
	kept := s.place(t, "sta", tenant)
	s.tell(identity.TypeUserCreated, "del")
	s.tell(identity.TypeUserCreated, "sta")
	s.idp.remove("del")
	s.tell(identity.TypeUserDeleted, "del")

	_, err := s.orders.Place(ctx, s.user("del", tenant), "late", tea)
	refusal(t, err, 403, "user-erased")
	page, err := s.orders.TenantOrders(ctx, s.staff("deleted"), 50, "")
	require.NoError(t, err)
	for _, o := range page.Orders {
		require.NotEqual(t, "del", o.UserID)
		if o.Customer != nil && !o.Customer.Erased {
			require.Equal(t, "Sta Ying", o.Customer.Name)
		}
	}
	read, err := s.orders.Order(ctx, s.user("sta", tenant), kept.ID)
	require.NoError(t, err)
	require.Equal(t, kept, read)
}
