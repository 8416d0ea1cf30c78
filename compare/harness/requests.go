package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/shadowless/shadowless/services/orders/api"
)

// do reads the whole answer, so that the connection is used again.
func do(client *http.Client, req *http.Request) (int, []byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read whole below
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// call sends a request with a token and wants a status.
func (w *world) call(ctx context.Context, method, url, token string, body any, want int) ([]byte, error) {
	status, answer, err := w.try(ctx, method, url, token, body)
	if err == nil && status != want {
		err = fmt.Errorf("%s was answered %d, not %d: %.300s", method, status, want, answer)
	}
	return answer, err
}

func (w *world) try(ctx context.Context, method, url, token string, body any) (int, []byte, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	return do(w.client, req)
}

// wish is what is ordered.
var wish = api.NewOrder{Currency: "EUR", Items: []api.Item{{SKU: "lamp", Quantity: 1, UnitPriceMinor: 1200}}}

func (w *world) place(ctx context.Context, orders, token string) error {
	_, err := w.call(ctx, http.MethodPost, orders+"/v1/orders", token, wish, http.StatusCreated)
	return err
}

// ordersOf is the route of one user's orders, for staff.
func ordersOf(orders, userID string) string {
	return orders + "/v1/users/" + base64.RawURLEncoding.EncodeToString([]byte(userID)) + "/orders"
}
