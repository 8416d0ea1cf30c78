package api

import (
	"context"
	"net/http"
	"time"
)

// UpstreamKey is a client's key at the upstream issuer of broker mode.
type UpstreamKey struct {
	Secret string `json:"upstream_key"`
}

// UpstreamKeyStatus says whether a client's upstream key works. The key itself
// never leaves the service again.
type UpstreamKeyStatus struct {
	ClientID  string    `json:"client_id"`
	UpdatedAt time.Time `json:"updated_at"`
	Works     bool      `json:"works"`
	// Problem is what is wrong, as far as this service can tell.
	Problem string `json:"problem,omitempty"`
}

// SetUpstreamKey stores a client's upstream key and tries it.
func (a *Admin) SetUpstreamKey(ctx context.Context, id, key string) (UpstreamKeyStatus, error) {
	return do[UpstreamKeyStatus](ctx, a, http.MethodPut, UpstreamKey{Secret: key}, "clients", id, "upstream-key")
}

// UpstreamKey tries a client's upstream key.
func (a *Admin) UpstreamKey(ctx context.Context, id string) (UpstreamKeyStatus, error) {
	return do[UpstreamKeyStatus](ctx, a, http.MethodGet, nil, "clients", id, "upstream-key")
}

// RemoveUpstreamKey ends a client's use of the upstream.
func (a *Admin) RemoveUpstreamKey(ctx context.Context, id string) error {
	_, err := do[struct{}](ctx, a, http.MethodDelete, nil, "clients", id, "upstream-key")
	return err
}
