package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/event"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/billing/domain"
)

// source names billing in its events.
const source = "billing"

var announced = map[domain.Announcement]string{
	domain.HasBeenPaid: api.EventInvoicePaid,
	domain.HasRefunds:  api.EventInvoiceRefunded,
	domain.HasBeenVoid: api.EventInvoiceVoided,
}

// record writes what a change leaves behind: the posting and the event.
func record(ctx context.Context, tx pgx.Tx, i domain.Invoice, change domain.Change) error {
	if err := post(ctx, tx, i, change.Posting); err != nil {
		return err
	}
	if change.Announce == domain.Silence || i.OrderID == uuid.Nil {
		return nil // in one database the order has gone with its user
	}
	message, err := event.Message(source, announced[change.Announce], i.UpdatedAt, api.InvoiceEvent{
		InvoiceID: i.ID, OrderID: i.OrderID, Status: string(i.Status), Currency: i.Currency,
		AmountMinor: i.AmountMinor, RefundedMinor: i.RefundedMinor, Version: i.Version,
	})
	if err != nil {
		return err
	}
	return mailbox.Enqueue(ctx, tx, message)
}

// post writes a posting to the ledger. The database checks the balance at the
// commit; here it is checked for a better error.
func post(ctx context.Context, tx pgx.Tx, i domain.Invoice, p domain.Posting) error {
	if p.IsEmpty() {
		return nil
	}
	if err := p.Check(); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a transaction ID: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO ledger_transactions (id, invoice_id, kind, currency, posted_at) VALUES ($1, $2, $3, $4, $5)`,
		id, i.ID, p.Kind, i.Currency, i.UpdatedAt)
	for _, e := range p.Entries {
		batch.Queue(`INSERT INTO ledger_entries (transaction_id, account, amount_minor) VALUES ($1, $2, $3)`, id, e.Account, e.AmountMinor)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("post to the ledger: %w", err)
	}
	return nil
}
