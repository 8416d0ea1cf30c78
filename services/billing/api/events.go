package api

import "github.com/google/uuid"

// Types of the events, which are also their NATS subjects.
const (
	EventInvoicePaid     = "billing.v1.invoice.paid"
	EventInvoiceRefunded = "billing.v1.invoice.refunded" // each refund; Status says whether all is refunded
	EventInvoiceVoided   = "billing.v1.invoice.voided"
)

// InvoiceEvent is the data of all three: the invoice as it was after the
// change. Version orders the events of one invoice; delivery does not.
type InvoiceEvent struct {
	InvoiceID     uuid.UUID `json:"invoice_id"`
	OrderID       uuid.UUID `json:"order_id"`
	Status        string    `json:"status"`
	Currency      string    `json:"currency"`
	AmountMinor   int64     `json:"amount_minor"`
	RefundedMinor int64     `json:"refunded_minor"`
	Version       int64     `json:"version"`
}
