// Package api is what other services may import of orders: its wire types, its
// events and its HTTP client.
package api

import (
	"time"

	"github.com/google/uuid"
)

// Audience is what a token for orders has in `aud`.
const Audience = "orders"

// Statuses of an order.
const (
	StatusPlaced   = "placed"
	StatusPaid     = "paid"
	StatusCanceled = "canceled"
	StatusRefunded = "refunded"
)

// Item is one line of an order. Prices are in minor units of its currency.
type Item struct {
	SKU            string `json:"sku"`
	Quantity       int64  `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
}

// NewOrder is what a customer orders.
type NewOrder struct {
	Items    []Item `json:"items"`
	Currency string `json:"currency"`
}

// Order is an accepted order. InvoiceID is nil until billing has made the
// invoice: an order is accepted without it when billing cannot be reached.
type Order struct {
	ID         uuid.UUID  `json:"id"`
	Status     string     `json:"status"`
	Currency   string     `json:"currency"`
	TotalMinor int64      `json:"total_minor"`
	Items      []Item     `json:"items"`
	InvoiceID  *uuid.UUID `json:"invoice_id"`
	Version    int64      `json:"version"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
}

// OrderPage is one page of orders, newest first.
type OrderPage struct {
	Orders     []Order `json:"orders"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

// Customer is display data of a user, from the directory.
type Customer struct {
	Name      string `json:"name,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
	Erased    bool   `json:"erased,omitempty"`
}

// TenantOrder is anybody's order, as staff see it. UserID is a pseudonym where the
// user was erased; Customer is as in CustomerOrderPage.
type TenantOrder struct {
	Order
	UserID   string    `json:"user_id"`
	Customer *Customer `json:"customer,omitempty"`
}

// TenantOrderPage is one page of a tenant's orders, newest first.
type TenantOrderPage struct {
	Orders     []TenantOrder `json:"orders"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// Contact is how to reach a customer. An erased one has neither name nor address.
type Contact struct {
	Name   string `json:"name,omitempty"`
	Email  string `json:"email,omitempty"`
	Erased bool   `json:"erased,omitempty"`
}

// CustomerOrderPage is one page of a user's orders, as staff see it. Customer is
// nil when the directory does not know the user or cannot be reached.
type CustomerOrderPage struct {
	OrderPage
	Customer *Customer `json:"customer,omitempty"`
}
