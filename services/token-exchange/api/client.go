package api

import (
	"context"
	"net/http"

	"github.com/shadowless/shadowless/internal/apiclient"
)

// Error is a refusal that the service explained.
type Error = apiclient.Error

// Admin calls the administration of token-exchange.
type Admin struct{ client *apiclient.Client }

// NewAdmin makes a client of the service at baseURL. httpClient must add the
// caller's token (authn.TokenSource.Transport), for audience "token-exchange"
// and with AdminScope.
func NewAdmin(baseURL string, httpClient *http.Client) (*Admin, error) {
	c, err := apiclient.New(baseURL, httpClient)
	if err != nil {
		return nil, err
	}
	return &Admin{client: c}, nil
}

// Clients lists every client.
func (a *Admin) Clients(ctx context.Context) ([]Client, error) {
	list, err := do[ClientList](ctx, a, http.MethodGet, nil, "clients")
	return list.Clients, err
}

// Client returns one client.
func (a *Admin) Client(ctx context.Context, id string) (Client, error) {
	return do[Client](ctx, a, http.MethodGet, nil, "clients", id)
}

// CreateClient registers a client.
func (a *Admin) CreateClient(ctx context.Context, spec ClientSpec) (Client, error) {
	return do[Client](ctx, a, http.MethodPost, spec, "clients")
}

// ChangeClient changes what the patch names.
func (a *Admin) ChangeClient(ctx context.Context, id string, patch ClientPatch) (Client, error) {
	return do[Client](ctx, a, http.MethodPatch, patch, "clients", id)
}

// Keys lists a client's keys, revoked ones included.
func (a *Admin) Keys(ctx context.Context, id string) ([]APIKey, error) {
	list, err := do[KeyList](ctx, a, http.MethodGet, nil, "clients", id, "keys")
	return list.Keys, err
}

// CreateKey makes a key. The answer is the only place where it can be read.
func (a *Admin) CreateKey(ctx context.Context, id string, want NewKey) (IssuedKey, error) {
	return do[IssuedKey](ctx, a, http.MethodPost, want, "clients", id, "keys")
}

// RevokeKey ends a key at once. Revoking it again changes nothing.
func (a *Admin) RevokeKey(ctx context.Context, id, keyID string) error {
	_, err := do[struct{}](ctx, a, http.MethodDelete, nil, "clients", id, "keys", keyID)
	return err
}

// DeclareClient makes a client what spec says, whatever it was. Its keys and a
// block stay.
func (a *Admin) DeclareClient(ctx context.Context, spec ClientSpec) (Client, error) {
	return do[Client](ctx, a, http.MethodPut, spec, "clients", spec.ID)
}

// ImportKey adds a key that was generated elsewhere. Again changes nothing.
func (a *Admin) ImportKey(ctx context.Context, id string, key Key) (APIKey, error) {
	return do[APIKey](ctx, a, http.MethodPut, ImportedKey{Secret: key.Reveal()}, "clients", id, "keys", key.ID())
}

// RotateKey makes a key's successor, which is in the answer alone, and ends the
// key itself after the overlap.
func (a *Admin) RotateKey(ctx context.Context, id, keyID string, want RotateKey) (IssuedKey, error) {
	return do[IssuedKey](ctx, a, http.MethodPost, want, "clients", id, "keys", keyID, "rotate")
}

// KeyStatus says what has become of a key. It needs no token: the key is proof.
func (a *Admin) KeyStatus(ctx context.Context, key string) (KeyStatus, error) {
	return do[KeyStatus](ctx, a, http.MethodPost, PresentedKey{Secret: key}, "keys", "status")
}

// RevokeHeldKey ends a key at once. It needs no token: the key is proof.
func (a *Admin) RevokeHeldKey(ctx context.Context, key string) (KeyStatus, error) {
	return do[KeyStatus](ctx, a, http.MethodPost, PresentedKey{Secret: key}, "keys", "revoke")
}

func do[Resp any](ctx context.Context, a *Admin, method string, body any, path ...string) (Resp, error) {
	return apiclient.Do[Resp](ctx, a.client, apiclient.Call{Method: method, Path: append([]string{"v1"}, path...), Body: body})
}
