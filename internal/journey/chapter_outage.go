package journey

import (
	"context"
	"errors"
	"net/http"

	"github.com/shadowless/shadowless/internal/devstack"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

func (j *Journey) outage() chapter {
	refund := step{"a refund cannot be asked", "demo → billing → (nobody)", func(ctx context.Context) (string, error) {
		err := j.refundAs(ctx, j.user, j.other, smallRefund)
		return "503 with Retry-After: what cannot be decided is refused, not allowed", expect(err, http.StatusServiceUnavailable)
	}}
	if j.observed() {
		refund = step{"a refund is still decided", "demo → billing, local policy", func(ctx context.Context) (string, error) {
			return "this IdP cannot answer for users, so the policy is billing's own: allowed", j.refundAs(ctx, j.user, j.other, smallRefund)
		}}
	}
	return chapter{"The identity provider is down", []step{
		{"stop the IdP", "demo → control socket", func(ctx context.Context) (string, error) {
			j.idpStopped = true // also when the answer is lost
			return "", j.system.StopService(ctx, devstack.DevIDP)
		}},
		{"read the orders with the old token", "demo → orders", func(ctx context.Context) (string, error) {
			page, err := j.orders.Orders(ctx, j.user.Token, 0, "")
			if err == nil && len(page.Orders) == 0 {
				err = errors.New("no orders came back")
			}
			return "tokens are verified locally: no call to anybody", err
		}},
		{"cancel an order", "demo → orders → NATS → billing", func(ctx context.Context) (string, error) {
			if _, err := j.orders.Cancel(ctx, j.user.Token, j.second.ID, 0); err != nil {
				return "", err
			}
			return "static permissions keep working", j.untilOrder(ctx, j.second.ID, ordersapi.StatusCanceled)
		}},
		{"sign in", "browser → (nobody)", func(ctx context.Context) (string, error) {
			_, err := SignIn(ctx, j.system, j.email, j.password)
			if !unreachable(err) {
				return "", errors.Join(errors.New("signing in was expected to find nobody"), err)
			}
			return "does not work, of course: that is the IdP's own", nil
		}},
		refund,
		{"start the IdP", "demo → control socket", func(ctx context.Context) (string, error) {
			return "", j.startIDP(ctx)
		}},
		{"sign in again", "browser → dev-idp", func(ctx context.Context) (string, error) {
			return "it kept its users, sessions and keys", j.user.Authorize(ctx, j.system)
		}},
	}}
}

func (j *Journey) startIDP(ctx context.Context) error {
	err := j.system.StartService(ctx, devstack.DevIDP)
	j.idpStopped = err != nil
	return err
}
