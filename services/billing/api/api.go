// Package api is what other services may import of billing: its wire types, its
// events and its HTTP client.
package api

import (
	"time"

	"github.com/google/uuid"
)

// Audience is what a token for billing has in `aud`.
const Audience = "billing"

// ScopeCreateInvoices lets a service create invoices.
const ScopeCreateInvoices = "billing:invoices:create"

// Statuses of an invoice.
const (
	StatusOpen     = "open"
	StatusPaid     = "paid"
	StatusVoid     = "void"
	StatusRefunded = "refunded" // wholly; a partial refund leaves it paid
)

// Invoice is what one order costs. Amounts are in minor units of the currency.
type Invoice struct {
	ID            uuid.UUID `json:"id"`
	OrderID       uuid.UUID `json:"order_id"`
	Status        string    `json:"status"`
	Currency      string    `json:"currency"`
	AmountMinor   int64     `json:"amount_minor"`
	RefundedMinor int64     `json:"refunded_minor"`
	Version       int64     `json:"version"`
	CreatedAt     time.Time `json:"created_at"`
}

// InvoicePage is one page of invoices, newest first.
type InvoicePage struct {
	Invoices   []Invoice `json:"invoices"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

// NewInvoice asks for an order's invoice. UserID and TenantID name the customer
// when a service calls for itself; a delegated token says who the customer is,
// and they must be absent.
type NewInvoice struct {
	OrderID     uuid.UUID `json:"order_id"`
	Currency    string    `json:"currency"`
	AmountMinor int64     `json:"amount_minor"`
	UserID      string    `json:"user_id,omitempty"`
	TenantID    string    `json:"tenant_id,omitempty"`
}

// Amount is the body of a payment and of a refund.
type Amount struct {
	AmountMinor int64 `json:"amount_minor"`
}
