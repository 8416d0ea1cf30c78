// Package domain is billing without transport and database: invoices, what may
// become of them, and the books that follow.
package domain

import (
	"regexp"
	"time"

	"github.com/google/uuid"
)

// MaxAmountMinor is the largest invoice, in minor units. It leaves six digits
// of int64 to sums over many of them.
const MaxAmountMinor = 1_000_000_000_000

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`) // ISO 4217

// Status of an invoice.
type Status string

// The statuses. A partial refund leaves the invoice paid.
const (
	Open     Status = "open"
	Paid     Status = "paid"
	Void     Status = "void"
	Refunded Status = "refunded"
)

// Owner is whose data something is.
type Owner struct {
	UserID   string
	TenantID string
}

// Invoice is what one order costs.
type Invoice struct {
	ID            uuid.UUID
	OrderID       uuid.UUID
	Owner         Owner
	Status        Status
	Currency      string
	AmountMinor   int64
	RefundedMinor int64
	Version       int64
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Announcement is what other services must hear of.
type Announcement string

// The announcements.
const (
	Silence      Announcement = ""
	HasBeenPaid  Announcement = "paid"
	HasRefunds   Announcement = "refunded"
	HasBeenVoid  Announcement = "voided"
	firstVersion              = 1
)

// Change is what a step in an invoice's life leaves behind, beside the invoice:
// all of it is written in one transaction.
type Change struct {
	Posting  Posting
	Announce Announcement
}

// New makes an open invoice. It returns ErrInvalid for an amount or currency
// that is not acceptable.
func New(id, orderID uuid.UUID, owner Owner, currency string, amountMinor int64, now time.Time) (Invoice, Change, error) {
	if orderID == uuid.Nil || !currencyPattern.MatchString(currency) || amountMinor < 1 || amountMinor > MaxAmountMinor {
		return Invoice{}, Change{}, ErrInvalid
	}
	return Invoice{
		ID: id, OrderID: orderID, Owner: owner, Status: Open, Currency: currency, AmountMinor: amountMinor,
		Version: firstVersion, CreatedAt: now, UpdatedAt: now,
	}, Change{Posting: move(Invoicing, Receivable, Revenue, amountMinor)}, nil
}

// VoidAtBirth turns a new invoice into one that nobody has to pay: its order
// was canceled before billing heard of it. Nothing is posted.
func (i *Invoice) VoidAtBirth() Change {
	i.Status = Void
	return Change{}
}

// Pay takes the whole open amount.
func (i *Invoice) Pay(amountMinor int64, now time.Time) (Change, error) {
	if i.Status != Open {
		return Change{}, ErrNotOpen
	}
	if amountMinor != i.AmountMinor {
		return Change{}, ErrWrongAmount
	}
	i.become(Paid, now)
	return Change{Posting: move(Payment, Cash, Receivable, amountMinor), Announce: HasBeenPaid}, nil
}

// Refund gives back a part of what was paid, or all of it.
func (i *Invoice) Refund(amountMinor int64, now time.Time) (Change, error) {
	if i.Status != Paid {
		return Change{}, ErrNotPaid
	}
	if amountMinor < 1 || amountMinor > i.Refundable() {
		return Change{}, ErrTooMuch
	}
	i.RefundedMinor += amountMinor
	status := Paid
	if i.Refundable() == 0 {
		status = Refunded
	}
	i.become(status, now)
	return Change{Posting: move(Refunding, Refunds, Cash, amountMinor), Announce: HasRefunds}, nil
}

// Cancel follows the order's cancellation: an open invoice becomes void, and
// one that was paid in the same moment is refunded. It reports false where
// nothing is left to do.
func (i *Invoice) Cancel(now time.Time) (Change, bool) {
	switch i.Status {
	case Open:
		i.become(Void, now)
		return Change{Posting: move(Voiding, Revenue, Receivable, i.AmountMinor), Announce: HasBeenVoid}, true
	case Paid:
		change, err := i.Refund(i.Refundable(), now)
		return change, err == nil
	default:
		return Change{}, false
	}
}

// Refundable is what was paid and not yet given back.
func (i *Invoice) Refundable() int64 {
	if i.Status != Paid {
		return 0
	}
	return i.AmountMinor - i.RefundedMinor
}

func (i *Invoice) become(s Status, now time.Time) {
	i.Status, i.UpdatedAt = s, now
	i.Version++
}
