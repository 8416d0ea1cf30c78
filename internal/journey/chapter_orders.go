package journey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shadowless/shadowless/internal/apiclient"
	"github.com/shadowless/shadowless/internal/devstack"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

// Amounts in minor units. The refund policy allows a customer up to 5000.
const (
	price       = 200_00
	smallRefund = 10_00
	largeRefund = 150_00
)

func (j *Journey) signUp() chapter {
	return chapter{"A user, and no users table", []step{
		{"sign up", "browser → console → dev-idp", j.stepSignUp},
		{"sign in", "browser → dev-idp, code + PKCE", j.stepSignIn},
		{"sign in to the console", "browser → console → dev-idp", j.stepConsole},
	}}
}

func (j *Journey) stepSignUp(ctx context.Context) (string, error) {
	b, err := newBrowser(j.system.Ports.URL(devstack.DevIDP))
	if err != nil {
		return "", err
	}
	id := uuid.NewString()
	j.email, j.password = "traveler-"+id[:8]+"@example.com", "Passw0rd!"+id[:8]
	err = b.post(ctx, j.system.Ports.URL(devstack.Console)+"/v1/sign-up", map[string]string{
		"email": j.email, "password": j.password, "name": "Tilda Traveler",
	})
	return "the console forwards the form with the internal secret; the account gets the grants of the registration context \"shop\"", err
}

func (j *Journey) stepSignIn(ctx context.Context) (string, error) {
	var err error
	if j.user, err = SignIn(ctx, j.system, j.email, j.password); err != nil {
		return "", err
	}
	// Where the IdP's tokens do not carry permissions, the staff's come as
	// grants by event, soon after the first start.
	err = until(ctx, "the staff's token carrying refund_any", func(ctx context.Context) (bool, error) {
		j.staff, err = SignIn(ctx, j.system, "staff@example.com", "Passw0rd!staff")
		return err == nil && strings.Contains(claims(j.staff.Token), "refund_any"), err
	})
	if err != nil {
		return "", err
	}
	return "the user ID is " + j.user.ID + ", and orders, billing and the console have never heard of it\n     " + j.user.How, j.expectNoRow(ctx)
}

// stepConsole uses the same browser, so the session at the IdP signs in at once.
func (j *Journey) stepConsole(ctx context.Context) (string, error) {
	if err := j.user.browser.get(ctx, j.system.Ports.URL(devstack.Console)+"/auth/login", nil); err != nil {
		return "", err
	}
	var me struct {
		UserID string `json:"user_id"`
	}
	if err := j.user.browser.get(ctx, j.system.Ports.URL(devstack.Console)+"/v1/me", &me); err != nil {
		return "", err
	}
	if me.UserID != j.user.ID {
		return "", errors.New("the console knows somebody else")
	}
	return "the console keeps the tokens; the browser has a cookie that says nothing", nil
}

func (j *Journey) order() chapter {
	return chapter{"An order, an invoice, a payment", []step{
		{"place orders", "demo → orders → token-exchange, billing", j.stepPlace},
		{"pay", "demo → billing → NATS → orders", j.stepPay},
		{"cancel another order", "demo → orders → NATS → billing", j.stepCancel},
	}}
}

func (j *Journey) place(ctx context.Context) (ordersapi.Order, error) {
	order, err := j.orders.Place(ctx, j.user.Token, uuid.NewString(), ordersapi.NewOrder{
		Currency: "EUR", Items: []ordersapi.Item{{SKU: "lamp", Quantity: 2, UnitPriceMinor: price / 2}},
	})
	if err != nil {
		return order, err
	}
	if order.InvoiceID == nil {
		return order, errors.New("the order has no invoice: orders could not call billing on the user's behalf")
	}
	return order, nil
}

func (j *Journey) stepPlace(ctx context.Context) (string, error) {
	for _, order := range []*ordersapi.Order{&j.paid, &j.other, &j.spare, &j.second} {
		var err error
		if *order, err = j.place(ctx); err != nil {
			return "", err
		}
	}
	return "four, each with an invoice: orders traded the user's token for a delegated one (sub: the user, act: orders, aud: billing)", nil
}

func (j *Journey) stepPay(ctx context.Context) (string, error) {
	for _, order := range []ordersapi.Order{j.paid, j.other} {
		if _, err := j.billing.Pay(ctx, j.user.Token, uuid.NewString(), *order.InvoiceID, price, 0); err != nil {
			return "", err
		}
		if err := j.untilOrder(ctx, order.ID, ordersapi.StatusPaid); err != nil {
			return "", err
		}
	}
	return "two: billing booked them in its ledger; its events made the orders paid", nil
}

func (j *Journey) untilOrder(ctx context.Context, id uuid.UUID, status string) error {
	return until(ctx, "the order becoming "+status, func(ctx context.Context) (bool, error) {
		order, err := j.orders.Order(ctx, j.user.Token, id)
		return order.Status == status, err
	})
}

func (j *Journey) stepCancel(ctx context.Context) (string, error) {
	if _, err := j.orders.Cancel(ctx, j.user.Token, j.spare.ID, 0); err != nil {
		return "", err
	}
	err := until(ctx, "the invoice becoming void", func(ctx context.Context) (bool, error) {
		invoice, err := j.billing.Invoice(ctx, j.user.Token, *j.spare.InvoiceID)
		return invoice.Status == "void", err
	})
	return "a static permission of the token: nobody was asked; billing voided the invoice by event", err
}

func (j *Journey) refund() chapter {
	asked := "demo → billing → dev-idp"
	if j.observed() {
		asked = "demo → billing, local policy"
	}
	return chapter{"A refund depends on its amount, so it is asked", []step{
		{"refund a small amount", asked, func(ctx context.Context) (string, error) {
			return "asked with amount and status: allowed", j.refundAs(ctx, j.user, j.paid, smallRefund)
		}},
		{"refund a large amount", asked, func(ctx context.Context) (string, error) {
			return "asked: refused with 403", expect(j.refundAs(ctx, j.user, j.paid, largeRefund), http.StatusForbidden)
		}},
		{"staff refund the large amount", "staff → billing", func(ctx context.Context) (string, error) {
			return "staff hold refund_any, a static permission", j.refundAs(ctx, j.staff, j.paid, largeRefund)
		}},
	}}
}

func (j *Journey) refundAs(ctx context.Context, p *Person, order ordersapi.Order, amount int64) error {
	_, err := j.billing.Refund(ctx, p.Token, uuid.NewString(), *order.InvoiceID, amount, 0)
	return err
}

// expect is nil when err is a refusal with one of the given statuses.
func expect(err error, statuses ...int) error {
	got := refused(err)
	if slices.Contains(statuses, got) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("it was allowed, and a refusal with %v was expected", statuses)
	}
	return fmt.Errorf("a refusal with %v was expected: %w", statuses, err)
}

// refused is the status of a refusal, 0 for anything else.
func refused(err error) int {
	if problem, ok := errors.AsType[*apiclient.Error](err); ok {
		return problem.Status
	}
	return status(err)
}
