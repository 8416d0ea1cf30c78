package shop

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Statuses of an order.
const (
	StatusPlaced   = "placed"
	StatusPaid     = "paid"
	StatusCanceled = "canceled"
	StatusRefunded = "refunded"
)

// Order is what the page shows of one.
type Order struct {
	ID         uuid.UUID  `json:"id"`
	Status     string     `json:"status"`
	Currency   string     `json:"currency"`
	TotalMinor int64      `json:"total_minor"`
	Items      []Item     `json:"items"`
	InvoiceID  *uuid.UUID `json:"invoice_id"`
	CreatedAt  time.Time  `json:"created_at"`
}

// Item is one line of an order.
type Item struct {
	SKU            string `json:"sku"`
	Quantity       int    `json:"quantity"`
	UnitPriceMinor int64  `json:"unit_price_minor"`
}

type newOrder struct {
	Currency string `json:"currency"`
	Items    []Item `json:"items"`
}

type orderPage struct {
	Orders []Order `json:"orders"`
}

type ordersClient struct{ client *apiclient.Client }

func (c ordersClient) list(ctx context.Context, bearer string, limit int) ([]Order, error) {
	page, err := apiclient.Do[orderPage](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "orders"}, Query: url.Values{"limit": {strconv.Itoa(limit)}}, Bearer: bearer,
	})
	return page.Orders, err
}

func (c ordersClient) place(ctx context.Context, bearer, key string, order newOrder) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "orders"}, Bearer: bearer, IdempotencyKey: key, Body: order,
	})
}

func (c ordersClient) order(ctx context.Context, bearer string, id uuid.UUID) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "orders", id.String()}, Bearer: bearer,
	})
}

func (c ordersClient) cancel(ctx context.Context, bearer string, id uuid.UUID) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "orders", id.String(), "cancel"}, Bearer: bearer,
	})
}
