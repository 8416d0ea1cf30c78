// Package domain is orders without transport and database: what can be ordered,
// and what may become of an order.
package domain

import (
	"math/bits"
	"regexp"
	"time"

	"github.com/google/uuid"
)

// Limits of an order.
const (
	MaxItems      = 100
	MaxQuantity   = 1000
	MaxTotalMinor = 1_000_000_000_000 // minor units; also billing's limit
)

var (
	currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`) // ISO 4217
	skuPattern      = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// Status of an order.
type Status string

// The statuses.
const (
	Placed   Status = "placed"
	Paid     Status = "paid"
	Canceled Status = "canceled"
	Refunded Status = "refunded" // wholly
)

// Owner is whose order it is.
type Owner struct {
	UserID   string
	TenantID string
}

// Item is one line of an order.
type Item struct {
	SKU            string
	Quantity       int64
	UnitPriceMinor int64
}

// Order is an accepted order.
type Order struct {
	ID         uuid.UUID
	Owner      Owner
	Status     Status
	Currency   string
	TotalMinor int64
	Items      []Item
	InvoiceID  *uuid.UUID // nil until billing has made it
	// InvoiceVersion is the latest version of the invoice that was heard of:
	// billing's events may arrive in any order.
	InvoiceVersion int64
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// New makes an order. It returns ErrItems, ErrCurrency or ErrTotal.
func New(id uuid.UUID, owner Owner, currency string, items []Item, now time.Time) (Order, error) {
	if !currencyPattern.MatchString(currency) {
		return Order{}, ErrCurrency
	}
	total, err := totalOf(items)
	if err != nil {
		return Order{}, err
	}
	return Order{
		ID: id, Owner: owner, Status: Placed, Currency: currency, TotalMinor: total, Items: items,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}, nil
}

// totalOf adds up without overflow: a price near 2⁶³ times a quantity must not
// wrap into a small total.
func totalOf(items []Item) (int64, error) {
	if len(items) < 1 || len(items) > MaxItems {
		return 0, ErrItems
	}
	var total uint64
	for _, item := range items {
		if !skuPattern.MatchString(item.SKU) || item.Quantity < 1 || item.Quantity > MaxQuantity || item.UnitPriceMinor < 1 {
			return 0, ErrItems
		}
		high, low := bits.Mul64(uint64(item.Quantity), uint64(item.UnitPriceMinor))
		if high != 0 || low > MaxTotalMinor {
			return 0, ErrTotal
		}
		if total += low; total > MaxTotalMinor {
			return 0, ErrTotal
		}
	}
	return int64(total), nil
}

// Cancel cancels an order that is not paid. It reports false for one that is
// canceled already: to ask twice is no fault.
func (o *Order) Cancel(now time.Time) (bool, error) {
	switch o.Status {
	case Placed:
		o.touch(now)
		o.Status = Canceled
		return true, nil
	case Canceled:
		return false, nil
	default:
		return false, ErrNotCancelable
	}
}

// Invoice is what billing says about an order's invoice.
type Invoice struct {
	ID      uuid.UUID
	OrderID uuid.UUID
	Status  InvoiceStatus
	Version int64
}

// InvoiceStatus is an invoice's, as far as orders cares.
type InvoiceStatus string

// The statuses that change an order.
const (
	InvoicePaid     InvoiceStatus = "paid"
	InvoiceRefunded InvoiceStatus = "refunded"
)

// Hear takes in news of the invoice. Old news, which a newer version has
// overtaken, changes nothing; nothing brings a canceled order back. It reports
// whether the order changed.
func (o *Order) Hear(inv Invoice, now time.Time) bool {
	if inv.Version <= o.InvoiceVersion {
		return false
	}
	o.InvoiceID, o.InvoiceVersion = &inv.ID, inv.Version
	switch {
	case o.Status == Canceled:
	case inv.Status == InvoicePaid:
		o.Status = Paid
	case inv.Status == InvoiceRefunded:
		o.Status = Refunded
	}
	o.touch(now)
	return true
}

// SetInvoice remembers the invoice that billing made. It reports false if it is
// known already: an event may have told before the call was answered.
func (o *Order) SetInvoice(id uuid.UUID, now time.Time) bool {
	if o.InvoiceID != nil {
		return false
	}
	o.InvoiceID = &id
	o.touch(now)
	return true
}

func (o *Order) touch(now time.Time) {
	o.Version++
	o.UpdatedAt = now
}
