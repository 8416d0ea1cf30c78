package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

const (
	price = 1200
	// pace is the time between two orders, and between two webhooks.
	pace = 15 * time.Millisecond
	// some orders and webhooks show that the system works.
	some = 10
)

var basket = ordersapi.NewOrder{Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: price}}}

// load is what goes on during a fault: a customer orders, pays and cancels, and
// the IdP's webhooks arrive. Whoever is refused comes again with the same key or
// ID, as a client and as the IdP's queue do.
type load struct {
	t        *testing.T
	system   *system
	customer *customer
	hooks    *hooks

	stopped chan struct{}
	group   sync.WaitGroup
	orders  atomic.Int64 // accepted

	mu       sync.Mutex
	paid     []uuid.UUID
	canceled []uuid.UUID
}

func startLoad(t *testing.T, s *system) *load {
	t.Helper()
	l := &load{t: t, system: s, customer: s.customer(t, "alice@example.com", "Passw0rd!alice"), hooks: newHooks(t, s), stopped: make(chan struct{})}
	l.group.Go(l.order)
	l.group.Go(l.tell)
	return l
}

// stop lets what was begun be finished.
func (l *load) stop() {
	close(l.stopped)
	l.group.Wait()
}

// each runs do at the pace until the load is stopped.
func (l *load) each(do func(n int) error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := do(n); err != nil {
			if l.t.Context().Err() == nil {
				l.t.Error(err)
			}
			return
		}
		select {
		case <-l.stopped:
			return
		case <-tick.C:
		}
	}
}

// order places orders; the first of three is paid, the second is canceled.
func (l *load) order() {
	var rest sync.WaitGroup
	defer rest.Wait()
	l.each(func(n int) error {
		key := uuid.NewString()
		var order ordersapi.Order
		err := until(l.t.Context(), func(ctx context.Context) (err error) {
			order, err = l.customer.orders.Place(ctx, l.customer.Token, key, basket)
			return err
		})
		if err != nil {
			return fmt.Errorf("place: %w", err)
		}
		l.system.mu.Lock()
		l.system.accepted[order.ID] = true
		l.system.mu.Unlock()
		l.orders.Add(1)
		switch n % 3 {
		case 0:
			rest.Go(func() { l.finish("pay", l.pay(order.ID), &l.paid, order.ID) })
		case 1:
			rest.Go(func() { l.finish("cancel", l.cancel(order.ID), &l.canceled, order.ID) })
		}
		return nil
	})
}

func (l *load) finish(what string, err error, list *[]uuid.UUID, id uuid.UUID) {
	if err != nil {
		if l.t.Context().Err() == nil {
			l.t.Errorf("%s: %v", what, err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, id)
}

// pay waits for the invoice, which comes later where billing was down.
func (l *load) pay(id uuid.UUID) error {
	key := uuid.NewString()
	return until(l.t.Context(), func(ctx context.Context) error {
		order, err := l.customer.orders.Order(ctx, l.customer.Token, id)
		if err != nil {
			return err
		}
		if order.InvoiceID == nil {
			return errors.New("the order has no invoice")
		}
		_, err = l.customer.billing.Pay(ctx, l.customer.Token, key, *order.InvoiceID, price, 0)
		return err
	})
}

func (l *load) cancel(id uuid.UUID) error {
	return until(l.t.Context(), func(ctx context.Context) error {
		_, err := l.customer.orders.Cancel(ctx, l.customer.Token, id, 0)
		return err
	})
}

// tell delivers webhooks; one of five ends a session, the others grant something.
func (l *load) tell() {
	l.each(func(n int) error {
		d := l.hooks.grant()
		if n%5 == 0 {
			d = l.hooks.signOut()
		}
		return until(l.t.Context(), func(ctx context.Context) error {
			status, err := l.hooks.send(ctx, d)
			if err == nil && status != http.StatusNoContent {
				return fmt.Errorf("the relay answered %d", status)
			}
			return err
		})
	})
}

// progress waits until so many more of both were accepted. Zero waits for none.
func (l *load) progress(t *testing.T, orders, webhooks int64) {
	t.Helper()
	orders, webhooks = orders+l.orders.Load(), webhooks+l.hooks.count.Load()
	eventually(t, "orders and webhooks are accepted", func(context.Context) error {
		if n := l.orders.Load(); n < orders {
			return fmt.Errorf("%d orders are missing", orders-n)
		}
		if n := l.hooks.count.Load(); n < webhooks {
			return fmt.Errorf("%d webhooks are missing", webhooks-n)
		}
		return nil
	})
	require.False(t, t.Failed())
}
