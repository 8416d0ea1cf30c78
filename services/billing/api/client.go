package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Error is a refusal by billing; find it with errors.As. Any other error of a
// call leaves open whether billing acted: repeat the call with the same key.
type Error = apiclient.Error

// Codes of refusals that callers act upon.
const (
	CodeUserErased     = "user-erased"
	CodeInvoiceDiffers = "invoice-differs"
)

// Client calls billing. Each method takes the bearer token of its caller.
type Client struct{ client *apiclient.Client }

// NewClient makes a client of the billing service at baseURL.
func NewClient(baseURL string, client *http.Client) (*Client, error) {
	c, err := apiclient.New(baseURL, client)
	if err != nil {
		return nil, err
	}
	return &Client{client: c}, nil
}

// Create makes the order's invoice, or returns the one that exists.
func (c *Client) Create(ctx context.Context, bearer string, in NewInvoice) (Invoice, error) {
	return apiclient.Do[Invoice](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "invoices"}, Bearer: bearer, Body: in,
	})
}

// Invoices lists the caller's invoices, newest first. limit 0 is the default.
func (c *Client) Invoices(ctx context.Context, bearer string, limit int, cursor string) (InvoicePage, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return apiclient.Do[InvoicePage](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "invoices"}, Query: query, Bearer: bearer,
	})
}

// Invoice returns one invoice of the caller.
func (c *Client) Invoice(ctx context.Context, bearer string, id uuid.UUID) (Invoice, error) {
	return apiclient.Do[Invoice](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "invoices", id.String()}, Bearer: bearer,
	})
}

// Pay pays the whole open amount. version 0 pays whatever version there is.
func (c *Client) Pay(ctx context.Context, bearer, key string, id uuid.UUID, amountMinor, version int64) (Invoice, error) {
	return c.move(ctx, bearer, key, id, "payments", amountMinor, version)
}

// Refund pays back a part or all of a paid invoice.
func (c *Client) Refund(ctx context.Context, bearer, key string, id uuid.UUID, amountMinor, version int64) (Invoice, error) {
	return c.move(ctx, bearer, key, id, "refunds", amountMinor, version)
}

func (c *Client) move(ctx context.Context, bearer, key string, id uuid.UUID, what string, amountMinor, version int64) (Invoice, error) {
	return apiclient.Do[Invoice](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "invoices", id.String(), what}, Bearer: bearer,
		IdempotencyKey: key, IfMatch: version, Body: Amount{AmountMinor: amountMinor},
	})
}
