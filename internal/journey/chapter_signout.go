package journey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

func (j *Journey) signOut() chapter {
	steps := []step{{"sign out everywhere", "browser → dev-idp → webhook → identity-relay → NATS", j.stepSignOut}}
	if j.observed() {
		steps = []step{
			{"sign out everywhere", "browser → dev-idp", j.stepSilentSignOut},
			{"the operator revokes", "shadowless revoke → identity-relay → NATS", j.stepOperatorRevokes},
		}
	}
	return chapter{"Signed out everywhere, at once", append(steps,
		step{"sign in again", "browser → dev-idp", func(ctx context.Context) (string, error) {
			// T is in whole seconds and counts what was issued in it as dead.
			err := until(ctx, "a new token being accepted", func(ctx context.Context) (bool, error) {
				fresh, err := SignIn(ctx, j.system, j.email, j.password)
				if status(err) == http.StatusBadRequest { // the front door counts that second, too
					return false, nil
				}
				if err != nil {
					return false, err
				}
				if _, err := j.orders.Orders(ctx, fresh.Token, 0, ""); refused(err) == http.StatusUnauthorized {
					return false, nil
				} else if err != nil {
					return false, err
				}
				j.user = fresh
				return true, nil
			})
			if err != nil {
				return "", err
			}
			_, err = j.stepConsole(ctx)
			return "a new token is as good as ever, at the console too", err
		}},
	)}
}

// endSessions is the user's own "sign out of all devices".
func (j *Journey) endSessions(ctx context.Context) error {
	return j.user.browser.post(ctx, j.user.browser.idp+"/api/auth/revoke-sessions", struct{}{})
}

func (j *Journey) stepSignOut(ctx context.Context) (string, error) {
	begun := time.Now()
	if err := j.endSessions(ctx); err != nil {
		return "", err
	}
	return j.refusedEverywhere(ctx, begun)
}

func (j *Journey) stepSilentSignOut(ctx context.Context) (string, error) {
	if err := j.endSessions(ctx); err != nil {
		return "", err
	}
	if _, err := j.orders.Orders(ctx, j.user.Token, 0, ""); err != nil {
		return "", fmt.Errorf("the old token was expected to live on: %w", err)
	}
	return "this IdP tells nobody: the old token still works", nil
}

func (j *Journey) stepOperatorRevokes(ctx context.Context) (string, error) {
	relay, err := j.relay()
	if err != nil {
		return "", err
	}
	begun := time.Now()
	if _, err := relay.Revoke(ctx, relayapi.KindUser, j.user.ID); err != nil {
		return "", err
	}
	return j.refusedEverywhere(ctx, begun)
}

func (j *Journey) relay() (*relayapi.Client, error) {
	client, err := operator(j.system, relayapi.Audience, relayapi.Scope)
	if err != nil {
		return nil, err
	}
	return relayapi.NewClient(j.system.Ports.URL(devstack.IdentityRelay), client)
}

// refusedEverywhere shows the old token to every service until each refuses it.
func (j *Journey) refusedEverywhere(ctx context.Context, begun time.Time) (string, error) {
	show := []struct {
		service string
		status  int
		call    func(context.Context) error
	}{
		{devstack.Orders, http.StatusUnauthorized, func(ctx context.Context) error {
			_, err := j.orders.Orders(ctx, j.user.Token, 0, "")
			return err
		}},
		{devstack.Billing, http.StatusUnauthorized, func(ctx context.Context) error {
			_, err := j.billing.Invoices(ctx, j.user.Token, 0, "")
			return err
		}},
		{devstack.TokenExchange, http.StatusBadRequest, func(ctx context.Context) error {
			_, err := exchange(ctx, j.system, url.Values{
				"grant_type": {grantTokenExchange}, "subject_token": {j.user.Token}, "subject_token_type": {typeAccessToken}, "audience": {devstack.Billing},
			})
			return err
		}},
		{devstack.Console, http.StatusUnauthorized, func(ctx context.Context) error {
			return j.user.browser.get(ctx, j.system.Ports.URL(devstack.Console)+"/v1/me", nil)
		}},
	}
	took := make([]string, 0, len(show))
	for _, s := range show {
		err := until(ctx, s.service+" refusing the old token", func(ctx context.Context) (bool, error) {
			err := s.call(ctx)
			if err == nil {
				return false, nil
			}
			return true, expect(err, s.status)
		})
		if err != nil {
			return "", errors.Join(fmt.Errorf("%s: it was to refuse the old token", s.service), err)
		}
		took = append(took, s.service)
	}
	return fmt.Sprintf("%s refuse the old token, the last %s after the sign-out", strings.Join(took, ", "), short(time.Since(begun))), nil
}
