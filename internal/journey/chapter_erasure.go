package journey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

func (j *Journey) erasure() chapter {
	steps := []step{{"delete the user", "admin → dev-idp → webhook → identity-relay", j.stepDelete}}
	if j.observed() {
		steps = []step{
			{"delete the user", "admin → dev-idp", j.stepDelete},
			{"reconcile", "shadowless reconcile → identity-relay → participants, dev-idp", j.stepReconcile},
		}
	}
	return chapter{"Deleted, and proved", append(steps,
		step{"receipts from every participant", "identity-relay → NATS → participants → NATS", j.stepReceipts},
		step{"no trace of the user ID", "demo → every database, stream and bucket", j.stepNoTrace},
	)}
}

// stepDelete is done by an administrator of the IdP.
func (j *Journey) stepDelete(ctx context.Context) (string, error) {
	admin, err := newBrowser(j.user.browser.idp)
	if err != nil {
		return "", err
	}
	for _, u := range devstack.DemoUsers {
		if strings.HasPrefix(u.Email, "admin@") {
			if err := admin.signIn(ctx, u.Email, u.Password); err != nil {
				return "", err
			}
		}
	}
	if j.known, err = j.erasures(ctx); err != nil {
		return "", err
	}
	if err := admin.post(ctx, admin.idp+"/api/auth/admin/remove-user", map[string]string{"userId": j.user.ID}); err != nil {
		return "", err
	}
	if j.observed() {
		return "this IdP never sends user.deleted", nil
	}
	return "the IdP sends user.deleted; the relay commits it, blocks the user and opens an erasure", nil
}

// erasures lists the IDs of all that the relay knows.
func (j *Journey) erasures(ctx context.Context) (map[string]bool, error) {
	relay, err := j.relay()
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	filter := relayapi.ErasureFilter{}
	for {
		page, err := relay.Erasures(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Erasures {
			ids[e.ID] = true
		}
		if page.Next == "" {
			return ids, nil
		}
		filter.After = page.Next
	}
}

// stepReconcile asks for passes until the second look-up, a grace period after
// the first, has opened the erasure.
func (j *Journey) stepReconcile(ctx context.Context) (string, error) {
	relay, err := j.relay()
	if err != nil {
		return "", err
	}
	err = until(ctx, "reconciliation finding the user gone", func(ctx context.Context) (bool, error) {
		result, err := relay.Reconcile(ctx, relayapi.ReconcileRequest{})
		return result.Deleted > 0, err
	})
	return "the participants hold an ID that the IdP's list lacks, and two look-ups a grace period apart said \"not found\"", err
}

func (j *Journey) stepReceipts(ctx context.Context) (string, error) {
	relay, err := j.relay()
	if err != nil {
		return "", err
	}
	var done relayapi.ErasureDetail
	err = until(ctx, "the erasure being complete", func(ctx context.Context) (bool, error) {
		if j.erasureID == "" {
			ids, err := j.erasures(ctx)
			if err != nil {
				return false, err
			}
			for id := range ids {
				if !j.known[id] {
					j.erasureID = id
				}
			}
			if j.erasureID == "" {
				return false, nil
			}
		}
		done, err = relay.Erasure(ctx, j.erasureID)
		return done.State == "complete", err
	})
	if err != nil {
		return "", err
	}
	if len(done.Certificate) == 0 {
		return "", errors.New("the erasure is complete and has no certificate")
	}
	return j.readReceipts(done)
}

func (j *Journey) readReceipts(done relayapi.ErasureDetail) (string, error) {
	lines := []string{"erasure " + j.erasureID}
	for _, answer := range done.Answers {
		var receipt participant.Receipt
		if answer.AnsweredAt == nil {
			return "", fmt.Errorf("%s has not answered", answer.Participant)
		}
		if err := json.Unmarshal(answer.Receipt, &receipt); err != nil {
			return "", fmt.Errorf("receipt of %s: %w", answer.Participant, err)
		}
		var parts []string
		for _, c := range receipt.Columns {
			if c.Rows == 0 {
				continue
			}
			part := fmt.Sprintf("%d %s.%s", c.Rows, c.Table, c.Column)
			switch c.Disposition {
			case participant.Retain:
				j.kept[devstack.DatabaseName(answer.Participant)+" "+c.Table+"."+c.Column] = c.LegalReason
				part += " kept (" + c.LegalReason + ")"
			case participant.Pseudonymise:
				part += " pseudonymised"
			default:
				part += " erased"
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			parts = []string{"held nothing"}
		}
		lines = append(lines, fmt.Sprintf("  %-15s %s", answer.Participant, strings.Join(parts, "; ")))
	}
	return strings.Join(lines, "\n     "), nil
}

// stepNoTrace lets only what a receipt declares as kept hold the ID.
func (j *Journey) stepNoTrace(ctx context.Context) (string, error) {
	found, err := devstack.Scan(ctx, j.system, j.user.ID)
	if err != nil {
		return "", err
	}
	var undeclared, declared []string
	for _, f := range found {
		if _, ok := j.kept[f.Store+" "+f.Place]; ok {
			declared = append(declared, f.String())
			continue
		}
		undeclared = append(undeclared, f.String())
	}
	if len(undeclared) > 0 {
		sort.Strings(undeclared)
		return "", fmt.Errorf("the ID still stands in %s", strings.Join(undeclared, ", "))
	}
	return "searched in every spelling; found only what a receipt declares as kept: " + strings.Join(declared, ", "), nil
}

// expectNoRow is nil while no service has a row of the user: only the identity
// events of the sign-up exist, in the relay's log, in the stream, and as grants
// in the projection of token-exchange.
func (j *Journey) expectNoRow(ctx context.Context) error {
	found, err := devstack.Scan(ctx, j.system, j.user.ID)
	if err != nil {
		return err
	}
	events := []string{devstack.DatabaseName(devstack.IdentityRelay), devstack.DatabaseName(devstack.TokenExchange), streams.Identity}
	for _, f := range found {
		if !slices.Contains(events, f.Store) {
			return fmt.Errorf("%s holds the ID of a user who has done nothing yet", f)
		}
	}
	return nil
}
