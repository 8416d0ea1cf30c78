package admin

import (
	"net/http"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/kit"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// ClientRef names a client.
type ClientRef struct {
	ClientID string `json:"-"`
}

// Bind reads the path.
func (c *ClientRef) Bind(r *http.Request) error {
	c.ClientID = r.PathValue("id")
	return nil
}

// KeyRef names a client's key.
type KeyRef struct {
	ClientID string `json:"-"`
	KeyID    string `json:"-"`
}

// Bind reads the path.
func (k *KeyRef) Bind(r *http.Request) error {
	k.ClientID, k.KeyID = r.PathValue("id"), r.PathValue("key_id")
	return nil
}

// CreateRequest registers a client.
type CreateRequest struct{ api.ClientSpec }

// ChangeRequest patches a client.
type ChangeRequest struct {
	api.ClientPatch
	id string
}

// Bind reads the path.
func (c *ChangeRequest) Bind(r *http.Request) error {
	c.id = r.PathValue("id")
	return nil
}

// NewKeyRequest asks for a key.
type NewKeyRequest struct {
	api.NewKey
	id string
}

// Bind reads the path.
func (n *NewKeyRequest) Bind(r *http.Request) error {
	n.id = r.PathValue("id")
	return nil
}

// DeclareRequest says what a client is.
type DeclareRequest struct {
	api.ClientSpec
	id string
}

// Bind reads the path.
func (d *DeclareRequest) Bind(r *http.Request) error {
	d.id = r.PathValue("id")
	return nil
}

// RotateRequest asks for a key's successor.
type RotateRequest struct {
	api.RotateKey
	client, key string
}

// Bind reads the path.
func (q *RotateRequest) Bind(r *http.Request) error {
	q.client, q.key = r.PathValue("id"), r.PathValue("key_id")
	return nil
}

// ImportRequest brings a key from elsewhere.
type ImportRequest struct {
	api.ImportedKey
	client, key string
}

// Bind reads the path.
func (q *ImportRequest) Bind(r *http.Request) error {
	q.client, q.key = r.PathValue("id"), r.PathValue("key_id")
	return nil
}

// Register serves the administration.
func Register(m *access.Mux, s *Service) {
	kit.Handle(m, "GET /v1/clients", kit.NoBody[struct{}], s.Clients, http.StatusOK)
	kit.Handle(m, "POST /v1/clients", kit.JSON[CreateRequest], s.Create, http.StatusCreated)
	kit.Handle(m, "GET /v1/clients/{id}", kit.NoBody[ClientRef], s.Client, http.StatusOK)
	kit.Handle(m, "PUT /v1/clients/{id}", kit.JSON[DeclareRequest], s.Declare, http.StatusOK)
	kit.Handle(m, "PATCH /v1/clients/{id}", kit.JSON[ChangeRequest], s.Change, http.StatusOK)
	kit.Handle(m, "GET /v1/clients/{id}/keys", kit.NoBody[ClientRef], s.Keys, http.StatusOK)
	kit.Handle(m, "POST /v1/clients/{id}/keys", kit.JSON[NewKeyRequest], s.CreateKey, http.StatusCreated)
	kit.Handle(m, "PUT /v1/clients/{id}/keys/{key_id}", kit.JSON[ImportRequest], s.ImportKey, http.StatusOK)
	kit.Handle(m, "POST /v1/clients/{id}/keys/{key_id}/rotate", kit.JSON[RotateRequest], s.RotateKey, http.StatusCreated)
	kit.Handle(m, "DELETE /v1/clients/{id}/keys/{key_id}", kit.NoBody[KeyRef], s.RevokeKey, http.StatusNoContent)
}
