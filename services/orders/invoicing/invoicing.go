// Package invoicing has billing make invoices: for the user who places an
// order, with a delegated token, and later for orders itself, with its own.
package invoicing

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

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

// Config of an Invoicer.
type Config struct {
	BillingURL, TokenExchangeURL string
	ClientID, APIKeyFile         string
	HTTPClient                   *http.Client
	Logger                       *slog.Logger
	// Revocations, if given, keep delegated tokens from outliving a user's.
	Revocations *authn.RevocationList
}

// Connect makes an Invoicer. It reaches for nobody yet.
func Connect(c Config) (*Invoicer, error) {
	client, err := billing.NewClient(c.BillingURL, c.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("ORDERS_BILLING_URL: %w", err)
	}
	tokenURL := strings.TrimSuffix(c.TokenExchangeURL, "/") + "/oauth/token"
	delegator, err := authn.NewDelegator(authn.DelegatorConfig{
		TokenURL: tokenURL, ClientID: c.ClientID, APIKeyFile: c.APIKeyFile,
		HTTPClient: c.HTTPClient, Logger: c.Logger, Revocations: c.Revocations,
	})
	if err != nil {
		return nil, fmt.Errorf("delegate: %w", err)
	}
	own, err := authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: tokenURL, ClientID: c.ClientID, APIKeyFile: c.APIKeyFile, Audience: billing.Audience,
		Scopes: []string{billing.ScopeCreateInvoices}, HTTPClient: c.HTTPClient, Logger: c.Logger,
	})
	if err != nil {
		delegator.Close()
		return nil, fmt.Errorf("get service tokens: %w", err)
	}
	return &Invoicer{billing: client, delegator: delegator, own: own}, nil
}

// Close stops getting tokens.
func (i *Invoicer) Close() {
	i.delegator.Close()
	i.own.Close()
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
