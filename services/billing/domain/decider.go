package domain

import (
	"context"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Decider answers whether a user may refund their invoice. It returns nil,
// authn.ErrForbidden, or authn.ErrCannotAsk.
type Decider interface {
	Decide(ctx context.Context, p *authn.Principal, q authn.Question) error
}

// refundQuestion asks about an invoice as it would be after the refund. The
// amount is all that was refunded of it by then: else a limit could be passed
// in small steps.
func refundQuestion(after Invoice) authn.Question {
	return authn.Question{
		EntityType: EntityInvoice, EntityID: after.ID.String(), Permission: PermissionRefund,
		Attributes: map[string]any{
			"amount": after.RefundedMinor, "status": string(Paid), "currency": after.Currency,
		},
	}
}

// Asking lets the identity provider decide: a token that grants refunds
// outright is enough, one that grants them with attributes is asked about.
func Asking(asker authn.Asker) Decider { return asking{asker} }

type asking struct{ asker authn.Asker }

func (a asking) Decide(ctx context.Context, p *authn.Principal, q authn.Question) error {
	return authn.Authorize(ctx, p, a.asker, q)
}

// Limited decides here: whoever the token does not deny refunds may have back
// up to limitMinor of an invoice. It needs nobody, so it answers while the
// identity provider is down.
func Limited(limitMinor int64) Decider {
	return limited{authn.LocalPolicy(map[string]authn.PolicyFunc{
		EntityInvoice + ":" + PermissionRefund: func(_ context.Context, _ *authn.Principal, q authn.Question) (bool, error) {
			amount, ok := q.Attributes["amount"].(int64)
			return ok && amount <= limitMinor && q.Attributes["status"] == string(Paid), nil
		},
	})}
}

type limited struct{ policy authn.Asker }

// Decide asks the policy even where the token allows: the limit is billing's
// own rule and no token lifts it.
func (l limited) Decide(ctx context.Context, p *authn.Principal, q authn.Question) error {
	if p.Can(q.EntityType, q.EntityID, q.Permission) == authn.Deny {
		return authn.ErrForbidden
	}
	allowed, err := l.policy.Ask(ctx, p, q)
	if err != nil {
		return err
	}
	if !allowed {
		return authn.ErrForbidden
	}
	return nil
}
