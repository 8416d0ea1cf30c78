package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/console/internal/shop"
)

// outcome is what a form says when it was done, and when it was refused.
type outcome struct{ done, refused string }

func (p *Pages) place(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, outcome{"Your order is placed.", "No order was placed."}, func(ctx context.Context, bearer, key string) error {
		quantity, err := strconv.Atoi(r.PostFormValue("quantity"))
		if err != nil {
			return shop.ErrProduct
		}
		return p.Shop.Place(ctx, bearer, key, r.PostFormValue("sku"), quantity)
	})
}

func (p *Pages) pay(w http.ResponseWriter, r *http.Request) {
	p.actOn(w, r, outcome{"Paid. The order follows as soon as it hears of it.", "Nothing was paid."}, p.Shop.Pay)
}

func (p *Pages) refund(w http.ResponseWriter, r *http.Request) {
	p.actOn(w, r, outcome{"Refunded. The order follows as soon as it hears of it.", "Nothing was refunded."}, p.Shop.Refund)
}

func (p *Pages) cancel(w http.ResponseWriter, r *http.Request) {
	p.actOn(w, r, outcome{"The order is canceled.", "The order was not canceled."}, func(ctx context.Context, bearer, _ string, id uuid.UUID) error {
		return p.Shop.Cancel(ctx, bearer, id)
	})
}

func (p *Pages) actOn(w http.ResponseWriter, r *http.Request, said outcome, do func(ctx context.Context, bearer, key string, id uuid.UUID) error) {
	p.act(w, r, said, func(ctx context.Context, bearer, key string) error {
		id, err := uuid.Parse(r.PathValue("id"))
		if err != nil {
			return errForm
		}
		return do(ctx, bearer, key, id)
	})
}

// errForm: the form was not made by this page.
var errForm = errors.New("form is not ours")

func (p *Pages) act(w http.ResponseWriter, r *http.Request, said outcome, do func(ctx context.Context, bearer, key string) error) {
	v, ok := p.guarded(w, r)
	if !ok {
		return
	}
	key, err := uuid.Parse(r.PostFormValue("key"))
	if err != nil {
		err = errForm
	} else {
		err = do(r.Context(), v.session.Tokens.Access, key.String())
	}
	if err != nil {
		telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
		text := sentence(err)
		if !errors.Is(err, shop.ErrUnreachable) { // else nobody knows
			text = said.refused + " " + text
		}
		p.back(w, r, Notice{"bad", text})
		return
	}
	p.back(w, r, Notice{"good", said.done})
}

// maxSentence bounds a service's sentence on the page, in bytes.
const maxSentence = 300

// sentence is what a person reads of an error. A service's own sentence is
// public and fixed (RFC 9457 `detail`), so it is repeated.
func sentence(err error) string {
	var refusal *apiclient.Error
	switch {
	case errors.As(err, &refusal) && refusal.Detail != "" && len(refusal.Detail) <= maxSentence:
		return refusal.Detail
	case errors.As(err, &refusal) && refusal.Status == http.StatusForbidden:
		return "You may not do this."
	case errors.As(err, &refusal):
		return "It was refused."
	case errors.Is(err, shop.ErrProduct):
		return "The shelf has no such product, or not that many."
	case errors.Is(err, shop.ErrNoInvoice):
		return "The invoice of this order is still being made. Try again in a moment."
	case errors.Is(err, shop.ErrUnreachable):
		return "A service does not answer right now. Trying again is safe."
	default:
		return "That form cannot be used. Reload the page and try again."
	}
}
