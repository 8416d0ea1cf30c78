package domain

import (
	"context"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/idempotency"
	"github.com/shadowless/shadowless/internal/page"
)

// Scope says which invoices a call can reach: its owner's, or, for staff, all
// of a tenant. Everything else does not exist for it.
type Scope struct {
	TenantID  string
	UserID    string
	Everybody bool
}

// Own reaches the owner's invoices.
func Own(o Owner) Scope { return Scope{TenantID: o.TenantID, UserID: o.UserID} }

// WholeTenant reaches every invoice of the tenant.
func WholeTenant(tenantID string) Scope { return Scope{TenantID: tenantID, Everybody: true} }

// ChangeFunc changes an invoice inside the store's transaction.
type ChangeFunc func(*Invoice) (Change, error)

// Store keeps invoices and the ledger. A write under the ID of an erased user
// is ErrUserErased.
type Store interface {
	// Create writes a new invoice, void where its order was canceled already. An
	// order that has an invoice keeps it, and that one is returned.
	Create(ctx context.Context, inv Invoice, change Change) (Invoice, error)
	// Invoice returns one invoice, or ErrNotFound.
	Invoice(ctx context.Context, scope Scope, id uuid.UUID) (Invoice, error)
	// Invoices returns up to p.Limit+1 of the owner's invoices, newest first.
	Invoices(ctx context.Context, owner Owner, p page.Page) ([]Invoice, error)
	// Update runs change on the invoice and writes all that follows in one
	// transaction, once per key: a repeated call returns the first one's answer.
	// It returns ErrNotFound, idempotency.ErrReused and what change returns.
	Update(ctx context.Context, scope Scope, id uuid.UUID, key idempotency.Key, change ChangeFunc) (Invoice, error)
	// Answered returns what the key's call was answered, if it was made before.
	Answered(ctx context.Context, key idempotency.Key) (Invoice, bool, error)
}
