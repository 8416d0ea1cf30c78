// Package invoicing has billing make invoices: for the user who places an
// order, with a delegated token, and later for orders itself, with its own.
package invoicing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/pkg/authn"
	billing "github.com/shadowless/shadowless/services/billing/api"
	"github.com/shadowless/shadowless/services/orders/domain"
)

// Invoicer calls billing.
type Invoicer struct {
	billing   *billing.Client
	delegator *authn.Delegator
	own       *authn.TokenSource
}

var (
	_ domain.Invoicer        = (*Invoicer)(nil)
	_ domain.ServiceInvoicer = (*Invoicer)(nil)
)

// New makes an Invoicer. own must be a source of tokens for billing with the
// scope to create invoices.
func New(client *billing.Client, delegator *authn.Delegator, own *authn.TokenSource) *Invoicer {
	return &Invoicer{billing: client, delegator: delegator, own: own}
}

// Invoice implements domain.Invoicer. Billing sees the user as the subject and
// orders as the actor; the user's own token stays here.
func (i *Invoicer) Invoice(ctx context.Context, p *authn.Principal, o domain.Order) (uuid.UUID, error) {
	token, err := i.delegator.OnBehalfOf(ctx, p, billing.Audience, billing.ScopeCreateInvoices)
	if err != nil {
		return uuid.Nil, fmt.Errorf("get a delegated token: %w", err)
	}
	inv, err := i.billing.Create(ctx, token.AccessToken, wanted(o))
	if err != nil {
		return uuid.Nil, fmt.Errorf("create the invoice: %w", err)
	}
	return inv.ID, nil
}

// InvoiceLater implements domain.ServiceInvoicer. No user is there any more, so
// the call names the customer: their ID, or the pseudonym that an erasure left.
func (i *Invoicer) InvoiceLater(ctx context.Context, o domain.Order) (uuid.UUID, error) {
	token, err := i.own.TokenContext(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("get a service token: %w", err)
	}
	in := wanted(o)
	in.UserID, in.TenantID = o.Owner.UserID, o.Owner.TenantID
	inv, err := i.billing.Create(ctx, token.AccessToken, in)
	if err != nil {
		return uuid.Nil, fmt.Errorf("create the invoice later: %w", err)
	}
	return inv.ID, nil
}

func wanted(o domain.Order) billing.NewInvoice {
	return billing.NewInvoice{OrderID: o.ID, Currency: o.Currency, AmountMinor: o.TotalMinor}
}
