package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Error is a refusal by orders; find it with errors.As. Any other error of a
// call leaves open whether orders acted: repeat the call with the same key.
type Error = apiclient.Error

// Client calls orders. Each method takes the bearer token of its caller.
type Client struct{ client *apiclient.Client }

// NewClient makes a client of the orders service at baseURL.
func NewClient(baseURL string, client *http.Client) (*Client, error) {
	c, err := apiclient.New(baseURL, client)
	if err != nil {
		return nil, err
	}
	return &Client{client: c}, nil
}

// Place orders something. The same key places the same order once.
func (c *Client) Place(ctx context.Context, bearer, key string, in NewOrder) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "orders"}, Bearer: bearer, IdempotencyKey: key, Body: in,
	})
}

// Orders lists the caller's orders, newest first. limit 0 is the default.
func (c *Client) Orders(ctx context.Context, bearer string, limit int, cursor string) (OrderPage, error) {
	return apiclient.Do[OrderPage](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "orders"}, Query: query(limit, cursor), Bearer: bearer,
	})
}

// Order returns one order of the caller.
func (c *Client) Order(ctx context.Context, bearer string, id uuid.UUID) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "orders", id.String()}, Bearer: bearer,
	})
}

// Cancel cancels an order that is not paid. version 0 cancels whatever version
// there is.
func (c *Client) Cancel(ctx context.Context, bearer string, id uuid.UUID, version int64) (Order, error) {
	return apiclient.Do[Order](ctx, c.client, apiclient.Call{
		Method: http.MethodPost, Path: []string{"v1", "orders", id.String(), "cancel"}, Bearer: bearer, IfMatch: version,
	})
}

// OrdersOf lists any user's orders, for staff.
func (c *Client) OrdersOf(ctx context.Context, bearer, userID string, limit int, cursor string) (CustomerOrderPage, error) {
	return apiclient.Do[CustomerOrderPage](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "users", base64.RawURLEncoding.EncodeToString([]byte(userID)), "orders"},
		Query: query(limit, cursor), Bearer: bearer,
	})
}

// TenantOrders lists everybody's orders in the caller's tenant, for staff.
func (c *Client) TenantOrders(ctx context.Context, bearer string, limit int, cursor string) (TenantOrderPage, error) {
	return apiclient.Do[TenantOrderPage](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "tenant", "orders"}, Query: query(limit, cursor), Bearer: bearer,
	})
}

// Contact tells how to reach a customer, for staff who may know.
func (c *Client) Contact(ctx context.Context, bearer, userID string) (Contact, error) {
	return apiclient.Do[Contact](ctx, c.client, apiclient.Call{
		Method: http.MethodGet, Path: []string{"v1", "users", base64.RawURLEncoding.EncodeToString([]byte(userID)), "contact"}, Bearer: bearer,
	})
}

func query(limit int, cursor string) url.Values {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return q
}
