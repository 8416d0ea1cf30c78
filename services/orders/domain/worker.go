package domain

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// batch is how many orders one round takes.
const batch = 50

// ServiceInvoicer has billing make an invoice on the service's own account.
type ServiceInvoicer interface {
	InvoiceLater(ctx context.Context, o Order) (uuid.UUID, error)
}

// Worker invoices accepted orders whose invoice was not made when they were
// placed, because billing or token-exchange was down or this service crashed.
type Worker struct {
	store    Store
	backlog  Backlog
	invoicer ServiceInvoicer
	note     func(ctx context.Context, what string, err error)
	now      func() time.Time
}

// NewWorker makes the worker.
func NewWorker(store Store, backlog Backlog, invoicer ServiceInvoicer, note func(context.Context, string, error), now func() time.Time) *Worker {
	return &Worker{store: store, backlog: backlog, invoicer: invoicer, note: note, now: now}
}

// Run works at each tick until ctx ends.
func (w *Worker) Run(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for w.round(ctx) {
		}
	}
}

// round reports whether more may wait. An order that fails comes again at its
// next turn; after a failure the others wait for the next tick, because what is
// down for one is mostly down for all.
func (w *Worker) round(ctx context.Context) bool {
	now := w.now().UTC().Truncate(time.Microsecond)
	orders, err := w.backlog.Uninvoiced(ctx, now, batch)
	if err != nil {
		w.failed(ctx, "read the orders that wait for invoices", err)
		return false
	}
	healthy := true
	for _, o := range orders {
		invoiceID, err := w.invoicer.InvoiceLater(ctx, o)
		if err == nil {
			_, err = w.store.SetInvoice(ctx, o.ID, invoiceID, nil, now)
		}
		if err != nil {
			w.failed(ctx, "an order still waits for its invoice", err)
			healthy = false
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return healthy && len(orders) == batch
}

func (w *Worker) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		w.note(ctx, what, err)
	}
}
