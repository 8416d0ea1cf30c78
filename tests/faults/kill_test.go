package faults

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/journey"
	billingapi "github.com/shadowless/shadowless/services/billing/api"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

const price = 1200

var basket = ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: price}}}

type customer struct {
	*journey.Person
	orders  *ordersapi.Client
	billing *billingapi.Client
}

func alice(t *testing.T, s *system) *customer {
	t.Helper()
	person, err := journey.SignIn(context.Background(), &s.Running, "alice@example.com", "Passw0rd!alice")
	require.NoError(t, err)
	client := &http.Client{Timeout: 15 * time.Second}
	c := &customer{Person: person}
	c.orders, err = ordersapi.NewClient(s.Running.Ports.URL(devstack.Orders), client)
	require.NoError(t, err)
	c.billing, err = billingapi.NewClient(s.Running.Ports.URL(devstack.Billing), client)
	require.NoError(t, err)
	return c
}

// TestKill_BillingWhileOrdersArePlaced: every order that was accepted has one
// invoice in the end, however often billing was killed in between.
func TestKill_BillingWhileOrdersArePlaced(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := start(t, devstack.Billing)
	c := alice(t, s)
	// Each round wants so many orders, and billing dies when a few are placed.
	const workers, kills, perKill, beforeKill = 4, 3, 40, 10
	var accepted sync.Map
	var count atomic.Int64
	wanted := make(chan struct{}, perKill)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range wanted {
				key := uuid.NewString()
				for { // until it is accepted: the same key makes it one order
					order, err := c.orders.Place(ctx, c.Token, key, basket)
					if err == nil {
						accepted.Store(order.ID, true)
						count.Add(1)
						break
					}
					if t.Context().Err() != nil {
						return
					}
				}
			}
		})
	}
	for round := range int64(kills) {
		for range perKill {
			wanted <- struct{}{}
		}
		require.Eventually(t, func() bool { return count.Load() >= round*perKill+beforeKill }, patience, poll, "orders go on while billing is up")
		s.kill()
		require.Eventually(t, func() bool { return count.Load() >= (round+1)*perKill }, patience, poll, "orders are accepted while billing is down")
		s.launch()
		s.ready()
	}
	close(wanted)
	group.Wait()

	url, err := config.ReadSecretFile(s.Running.SecretFile(devstack.DatabaseName(devstack.Billing) + "_migrator.url"))
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	require.Eventually(t, func() bool {
		missing := 0
		accepted.Range(func(id, _ any) bool {
			order, err := c.orders.Order(ctx, c.Token, id.(uuid.UUID)) //nolint:forcetypeassert // stored above
			if err != nil || order.InvoiceID == nil {
				missing++
			}
			return missing == 0
		})
		return missing == 0
	}, patience, 10*poll, "every accepted order gets its invoice")
	accepted.Range(func(id, _ any) bool {
		var invoices int
		require.NoError(t, conn.QueryRow(ctx, "SELECT count(*) FROM invoices WHERE order_id = $1", id).Scan(&invoices))
		require.Equal(t, 1, invoices, "one invoice for each order")
		return true
	})
	t.Logf("%d orders accepted over %d kills", count.Load(), kills)
}

// TestKill_OrdersBeforeBillingsEvent: what billing published while orders was
// dead is applied when it comes back, once.
func TestKill_OrdersBeforeBillingsEvent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := start(t, devstack.Orders)
	c := alice(t, s)
	var placed []ordersapi.Order
	for range 5 {
		order, err := c.orders.Place(ctx, c.Token, uuid.NewString(), basket)
		require.NoError(t, err)
		require.NotNil(t, order.InvoiceID)
		placed = append(placed, order)
	}
	s.kill()
	for _, order := range placed {
		_, err := c.billing.Pay(ctx, c.Token, uuid.NewString(), *order.InvoiceID, price, 0)
		require.NoError(t, err)
	}
	_, err := c.orders.Order(ctx, c.Token, placed[0].ID)
	var refusal *ordersapi.Error
	require.Error(t, err)
	require.NotErrorAs(t, err, &refusal, "orders is dead, so nobody refuses")
	s.launch()
	s.ready()
	for _, order := range placed {
		require.Eventually(t, func() bool {
			now, err := c.orders.Order(ctx, c.Token, order.ID)
			return err == nil && now.Status == ordersapi.StatusPaid && now.Version == order.Version+1
		}, patience, poll, "billing's event was lost or applied twice")
	}
}
