package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shadowless/shadowless/compare/report"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// proof quotes what there is to show for the last user whom each contender deleted.
func (w *world) proof(ctx context.Context, last []string) (report.Table, error) {
	t := report.Table{Title: "What can be shown afterwards", Head: []string{"question", "shadow table", "federated IDs"}}
	var buried, shadowLeft, federatedLeft string
	for i, c := range contenders {
		if c.orders == oneOrders {
			continue // as the other with a table of users
		}
		r, err := w.remains(ctx, c, last[i:i+1])
		if err != nil {
			return t, err
		}
		left := fmt.Sprintf("%d rows were counted", r.rows+r.retained)
		if c.archetype == report.Federated {
			federatedLeft = left
			continue
		}
		shadowLeft = left
		if buried, err = w.buried(ctx, c, last[i]); err != nil {
			return t, err
		}
	}
	certificate, receipts, err := w.certified(ctx)
	if err != nil {
		return t, err
	}
	t.Rows = [][]string{
		{"that it was done", "a tombstone in each database: a keyed hash with its time, which who has the ID and the key can find (" + buried + "); nobody has counted again", certificate},
		{"by whom", "the provider's delivery log, if it keeps one: who answered 204; it says that the webhook was taken, not what was deleted", "receipts of " + receipts + ", each after it has counted again"},
		{"who has not done it yet", "who has no 204 in that log and no tombstone, if somebody compares them; otherwise the next reconciliation finds them", "listed as open, and late after an hour (IDENTITY_RELAY_ERASURE_DEADLINE)"},
		{"what still bears the user's ID", shadowLeft, federatedLeft + ": invoices, kept by law under the ID until their retention ends; the manifest names the law"},
		{"whose invoices those were", "not known any more: SET NULL is this variant's choice, another may copy the recipient into the invoice", "known until the retention ends, then pseudonymised"},
	}
	return t, nil
}

// buried quotes the tombstones of a user in each of a contender's databases.
func (w *world) buried(ctx context.Context, c contender, userID string) (string, error) {
	var quotes []string
	for _, service := range c.databases {
		tombstones, err := participant.LoadTombstones(w.running.SecretFile("tombstone-" + shadowServices[service]))
		if err != nil {
			return "", err
		}
		var at time.Time
		err = w.pools[service].QueryRow(ctx, `SELECT deleted_at FROM user_tombstones WHERE hash = ANY($1)`, tombstones.Hashes(userID)).Scan(&at)
		if err != nil {
			return "", fmt.Errorf("find a tombstone in %s: %w", service, err)
		}
		quotes = append(quotes, shadowServices[service]+": "+at.UTC().Format("2006-01-02 15:04:05.000 MST"))
	}
	return strings.Join(quotes, ", "), nil
}

// certified quotes the certificate of the last erasure.
func (w *world) certified(ctx context.Context) (certificate, receipts string, err error) {
	operator, done, err := w.operator()
	if err != nil {
		return "", "", err
	}
	defer done()
	var id string
	err = w.pools[devstack.IdentityRelay].QueryRow(ctx, `SELECT id::text FROM erasures WHERE state = 'complete' ORDER BY completed_at DESC LIMIT 1`).Scan(&id)
	if err != nil {
		return "", "", fmt.Errorf("find an erasure: %w", err)
	}
	detail, err := operator.Erasure(ctx, id)
	if err != nil {
		return "", "", err
	}
	if len(detail.Certificate) == 0 {
		return "no certificate", "nobody", nil
	}
	var c relayapi.Certificate
	if err := json.Unmarshal(detail.Certificate, &c); err != nil {
		return "", "", fmt.Errorf("read a certificate: %w", err)
	}
	var names []string
	for _, r := range c.Receipts {
		names = append(names, r.Participant)
	}
	return fmt.Sprintf("a certificate, edition %d", c.Edition), strings.Join(names, ", "), nil
}
