package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/console/api"
	"github.com/shadowless/shadowless/services/console/internal/shop"
	orders "github.com/shadowless/shadowless/services/orders/api"
)

type welcomePage struct {
	layout
	Places []Place
}

type homePage struct {
	layout
	Me            api.Me
	SignedInAt    time.Time
	LifeSeconds   int64
	LeftSeconds   int64
	Claims        []claim
	Grants        []grant
	Authoritative bool
	Revocations   freshness
	Orders        []orderRow
	OrdersFault   string
	Shelf         []shop.Product
	Currency      string
	MaxQuantity   int
	PlaceKey      string
	Places        []Place
}

type freshness struct {
	Loaded, Fresh bool
	Entries       int
	Age           string
}

// home is the page: who is signed in and everything about it, or how to sign in.
func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	notice := p.take(w, r)
	v, err := p.visit(r.Context(), p.jar.get(r, sessionCookie))
	var ended *endedError
	switch {
	case err == nil:
		p.render(w, r, http.StatusOK, "home", p.homeOf(r, v, notice))
		return
	case errors.As(err, &ended):
		telemetry.Annotate(r.Context(), slog.String("cause", err.Error()))
		p.jar.clear(w, sessionCookie)
		notice = &Notice{"warn", ended.sentence}
	case !errors.Is(err, errAnonymous):
		p.unavailable(w, r, err)
		return
	}
	p.render(w, r, http.StatusOK, "welcome", welcomePage{
		layout: layout{Title: "One identity provider, no users table", SignUp: p.SignUp.URL != "", Notice: notice}, Places: p.Places,
	})
}

func (p *Pages) homeOf(r *http.Request, v *visit, notice *Notice) homePage {
	list := p.Verifier.Revocations()
	page := homePage{
		layout: layout{Title: "My console", SignedIn: true, Notice: notice},
		Me:     describe(v.principal, list), SignedInAt: v.session.CreatedAt,
		LifeSeconds:   int64(v.principal.ExpiresAt().Sub(v.principal.IssuedAt()).Seconds()),
		LeftSeconds:   max(0, int64(v.principal.ExpiresAt().Sub(p.Now()).Seconds())),
		Claims:        claimsOf(v.principal),
		Grants:        grantsOf(v.principal),
		Authoritative: v.principal.PermissionsAuthoritative(),
		Revocations: freshness{
			Loaded: list.Loaded(), Fresh: list.Fresh(access.DefaultMaxStaleness) == nil, Entries: list.Len(), Age: span(list.Staleness()),
		},
		Shelf: shop.Shelf, Currency: shop.Currency, MaxQuantity: shop.MaxQuantity, PlaceKey: newKey(), Places: p.Places,
	}
	latest, err := p.Shop.Orders(r.Context(), v.session.Tokens.Access)
	if err != nil {
		telemetry.Annotate(r.Context(), slog.String("orders", err.Error()))
		page.OrdersFault = "Your orders cannot be shown: " + sentence(err)
	}
	for _, o := range latest {
		page.Orders = append(page.Orders, rowOf(o))
	}
	return page
}

// orderRow is an order and what can be done with it.
type orderRow struct {
	orders.Order
	What    string
	Actions []action
	Waiting string
}

type action struct {
	Label, Path, Key string
	Quiet            bool
}

func rowOf(o orders.Order) orderRow {
	row := orderRow{Order: o, What: shop.Describe(o)}
	do := func(label, verb string, quiet bool) {
		row.Actions = append(row.Actions, action{label, "/orders/" + o.ID.String() + "/" + verb, newKey(), quiet})
	}
	switch o.Status {
	case orders.StatusPlaced:
		if o.InvoiceID == nil {
			row.Waiting = "its invoice is being made"
		} else {
			do("Pay", "pay", false)
		}
		do("Cancel", "cancel", true)
	case orders.StatusPaid:
		do("Refund", "refund", true)
	}
	return row
}

// newKey is an idempotency key: one per form, so that a form which is sent twice
// acts once.
func newKey() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(fmt.Errorf("make a key: %w", err)) // crypto/rand does not fail
	}
	return id.String()
}
