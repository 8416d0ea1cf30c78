package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/deadletters"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// books are all databases, read by their owners.
type books struct {
	conns map[string]*pgx.Conn
	js    jetstream.JetStream
}

func openBooks(t *testing.T, s *system) *books {
	t.Helper()
	b := &books{conns: map[string]*pgx.Conn{}, js: s.js}
	for _, service := range devstack.WithDatabase {
		url, err := config.ReadSecretFile(s.stack.Running.SecretFile(devstack.DatabaseName(service) + "_migrator.url"))
		require.NoError(t, err)
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		b.conns[service] = conn
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return b
}

// none fails while the query counts anything.
func (b *books) none(ctx context.Context, service, what, query string, args ...any) error {
	var n int
	if err := b.conns[service].QueryRow(ctx, query, args...).Scan(&n); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n > 0 {
		return fmt.Errorf("%s: %d %s", service, n, what)
	}
	return nil
}

// opened tells whether each deleted user has an erasure.
func (b *books) opened(ctx context.Context, x *trial) error {
	return b.none(ctx, devstack.IdentityRelay, "deletions without an erasure",
		`SELECT $1 - count(*) FROM erasures WHERE user_hash = ANY($2)`, len(x.deleted), b.hashes(x))
}

// count reads one number.
func (b *books) count(t *testing.T, service, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.conns[service].QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

// list reads one column.
func list[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, args...)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return values
}

// resting says what is still on its way.
func (b *books) resting(ctx context.Context, x *trial) error {
	for _, service := range []string{devstack.IdentityRelay, devstack.Orders, devstack.Billing, devstack.TokenExchange, devstack.Console} {
		if err := b.none(ctx, service, "messages in the outbox", `SELECT count(*) FROM mailbox_outbox`); err != nil {
			return err
		}
	}
	for _, c := range []struct{ service, what, query string }{
		{devstack.DevIDP, "webhooks still to deliver", `SELECT count(*) FROM webhook_deliveries`},
		{devstack.IdentityRelay, "events not published", `SELECT count(*) FROM events WHERE stream_sequence IS NULL`},
		{devstack.IdentityRelay, "erasures open", `SELECT count(*) FROM erasures WHERE state <> 'complete'`},
		{devstack.IdentityRelay, "revocations not projected", `SELECT count(*) FROM revocations WHERE pending`},
		{devstack.IdentityRelay, "users to be asked about", `SELECT count(*) FROM rereads`},
		{devstack.Orders, "orders without an invoice", `SELECT count(*) FROM orders WHERE status <> 'canceled' AND invoice_id IS NULL`},
	} {
		if err := b.none(ctx, c.service, c.what, c.query); err != nil {
			return err
		}
	}
	for _, c := range streams.Consumers {
		durable, err := b.js.Consumer(ctx, c.Stream, c.Durable)
		if err != nil {
			return fmt.Errorf("look at %s: %w", c.Durable, err)
		}
		info := durable.CachedInfo()
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("%s: %d messages to deliver, %d to acknowledge", c.Durable, info.NumPending, info.NumAckPending)
		}
	}
	// A user who was deleted has an erasure, and it is complete.
	if err := b.opened(ctx, x); err != nil {
		return err
	}
	if err := b.none(ctx, devstack.Orders, "paid orders not marked", `SELECT count(*) FROM orders WHERE id = ANY($1) AND status <> 'paid'`, x.load.paid); err != nil {
		return err
	}
	return b.none(ctx, devstack.Billing, "invoices of canceled orders not void",
		`SELECT count(*) FROM invoices WHERE order_id = ANY($1) AND status <> 'void'`, x.load.canceled)
}

// hashes are what the relay knows erased users by.
func (b *books) hashes(x *trial) [][]byte {
	var hashes [][]byte
	for _, c := range x.deleted {
		hashes = append(hashes, x.tombstones.Hash(c.ID))
	}
	return hashes
}

// ordersAndInvoices compares the two databases row by row.
func (b *books) ordersAndInvoices(t *testing.T, x *trial) {
	t.Helper()
	type order struct {
		ID             uuid.UUID
		Status         string
		TotalMinor     int64
		InvoiceID      *uuid.UUID
		InvoiceVersion int64
		Version        int64
	}
	type invoice struct {
		ID          uuid.UUID
		OrderID     uuid.UUID
		Status      string
		AmountMinor int64
		Version     int64
		Kinds       []string // of its transactions in the ledger
	}
	rows, err := b.conns[devstack.Orders].Query(t.Context(), `SELECT id, status, total_minor, invoice_id, invoice_version, version FROM orders`)
	require.NoError(t, err)
	orders, err := pgx.CollectRows(rows, pgx.RowToStructByPos[order])
	require.NoError(t, err)
	rows, err = b.conns[devstack.Billing].Query(t.Context(), `SELECT i.id, i.order_id, i.status, i.amount_minor, i.version,
		array(SELECT kind FROM ledger_transactions l WHERE l.invoice_id = i.id ORDER BY kind) FROM invoices i`)
	require.NoError(t, err)
	invoices, err := pgx.CollectRows(rows, pgx.RowToStructByPos[invoice])
	require.NoError(t, err)
	byOrder := map[uuid.UUID]invoice{}
	for _, i := range invoices {
		require.NotContains(t, byOrder, i.OrderID, "an order has two invoices")
		byOrder[i.OrderID] = i
	}
	require.Len(t, orders, len(x.accepted), "as many orders as were accepted: one each, however often it was sent")
	booked := map[string]string{"open": "invoice", "paid": "invoice payment", "void": "invoice void"}
	for _, o := range orders {
		require.True(t, x.accepted[o.ID], "an order that nobody was told of")
		i, ok := byOrder[o.ID]
		delete(byOrder, o.ID)
		if !ok {
			require.Equal(t, "canceled", o.Status, "order %s has no invoice", o.ID)
			continue
		}
		require.Equal(t, o.TotalMinor, i.AmountMinor)
		require.Equal(t, map[string]string{"placed": "open", "paid": "paid", "canceled": "void"}[o.Status], i.Status, "order %s", o.ID)
		require.Equal(t, booked[i.Status], strings.Join(i.Kinds, " "), "each step is booked once")
		if o.Status == "paid" {
			require.Equal(t, &i.ID, o.InvoiceID)
			require.Equal(t, i.Version, o.InvoiceVersion, "the last thing that billing said was heard")
		}
		require.LessOrEqual(t, o.Version, 3+i.Version, "an event was applied more than once")
	}
	require.Empty(t, byOrder, "invoices without an order")
}

// webhooks holds each accepted delivery to one event, and each event to one
// application by each consumer.
func (b *books) webhooks(t *testing.T, x *trial) {
	t.Helper()
	relay, exchange := b.conns[devstack.IdentityRelay], b.conns[devstack.TokenExchange]
	known := map[string]bool{}
	for _, id := range list[string](t, relay, `SELECT delivery_id FROM deliveries WHERE source = 'auther'`) {
		known[id] = true
	}
	times := map[string]int{}
	for _, mark := range list[string](t, relay, `SELECT coalesce(session_id, data ->> 'entity_id', '') FROM events WHERE user_id = $1`, x.load.hooks.user) {
		times[mark]++
	}
	grants := map[string]bool{}
	for _, entity := range list[string](t, exchange, `SELECT entity_id FROM user_grants WHERE user_id = $1`, x.load.hooks.user) {
		grants[entity] = true
	}
	bucket, err := b.js.KeyValue(t.Context(), streams.Revocations)
	require.NoError(t, err)
	keys, err := bucket.ListKeys(t.Context())
	require.NoError(t, err)
	revoked := map[string]bool{}
	for key := range keys.Keys() {
		revoked[key] = true
	}
	for _, d := range x.load.hooks.taken {
		require.True(t, known[d.ID], "an accepted webhook is not in the relay's rows")
		if d.mark == "" {
			continue
		}
		require.Equal(t, 1, times[d.mark], "a webhook of type %s became %d events", d.Type, times[d.mark])
		if d.Type == "session.deleted" {
			require.True(t, revoked[revocation.Key(authn.RevokedSession, authn.NewRevocationKey(authn.RevokedSession, d.mark))], "a revocation is not in the bucket")
			continue
		}
		require.True(t, grants[d.mark], "token-exchange has not applied a grant")
	}
	b.inboxes(t)
}

// inboxes compares the log with what each consumer of identity events applied.
func (b *books) inboxes(t *testing.T) {
	t.Helper()
	relay := b.conns[devstack.IdentityRelay]
	for _, c := range streams.Consumers {
		if c.Stream != streams.Identity {
			continue
		}
		types := []string{identity.TypeErasureRequested}
		if c.Durable == "token-exchange-identity" {
			types = []string{
				identity.TypeUserCreated, identity.TypeUserUpdated, identity.TypeUserDeleted, identity.TypeUserBanned,
				identity.TypeUserUnbanned, identity.TypeUserSignedOut, identity.TypeAccessChanged,
			}
		}
		applied := map[string]int{}
		for _, id := range list[string](t, b.conns[c.Service], `SELECT message_id FROM mailbox_inbox WHERE consumer = $1`, c.Durable) {
			applied[id]++
		}
		for _, id := range list[string](t, relay, `SELECT id::text FROM events WHERE type = ANY($1)`, types) {
			// Erasing a user deletes their messages, and whoever had not read them
			// by then never will.
			if applied[id] == 0 {
				var removed bool
				require.NoError(t, relay.QueryRow(t.Context(), `SELECT removed_at IS NOT NULL FROM events WHERE id = $1`, id).Scan(&removed))
				require.True(t, removed, "%s has not applied an event", c.Durable)
				continue
			}
			require.Equal(t, 1, applied[id])
		}
	}
}

// answer is a participant's receipt.
type answer struct {
	Participant string
	Receipt     json.RawMessage
}

func (b *books) receipts(t *testing.T) []answer {
	t.Helper()
	rows, err := b.conns[devstack.IdentityRelay].Query(t.Context(), `SELECT participant, receipt FROM erasure_participants WHERE receipt IS NOT NULL`)
	require.NoError(t, err)
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[answer])
	require.NoError(t, err)
	return answers
}

// erasures wants one for each deletion, each answered once by everybody.
func (b *books) erasures(t *testing.T, x *trial) {
	t.Helper()
	relay := b.conns[devstack.IdentityRelay]
	ids := list[string](t, relay, `SELECT id::text FROM erasures WHERE user_hash = ANY($1)`, b.hashes(x))
	require.Len(t, ids, len(x.deleted), "one erasure for each deleted user")
	var uncertified int
	require.NoError(t, relay.QueryRow(t.Context(), `SELECT count(*) FROM erasures WHERE state <> 'complete' OR certificate IS NULL`).Scan(&uncertified))
	require.Zero(t, uncertified)
	for _, service := range []string{devstack.Orders, devstack.Billing, devstack.TokenExchange, devstack.Console} {
		answered := list[string](t, b.conns[service], `SELECT erasure_id FROM participant_receipts WHERE erasure_id = ANY($1)`, ids)
		require.ElementsMatch(t, ids, answered, service)
		told := list[string](t, relay, `SELECT erasure_id::text FROM erasure_participants WHERE participant = $2 AND receipt IS NOT NULL AND erasure_id = ANY($1::uuid[])`, ids, service)
		require.ElementsMatch(t, ids, told, service)
	}
}

// noDeadLetters wants none but those of erased users' messages.
func (b *books) noDeadLetters(t *testing.T) {
	t.Helper()
	letters, err := deadletters.List(t.Context(), b.js, 0, 1000)
	require.NoError(t, err)
	for _, letter := range letters {
		require.True(t, letter.Deleted, "a message was given up: %s", letter.Cause)
		require.Equal(t, streams.Identity, letter.Stream)
		require.Equal(t, 1, b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM events
			WHERE removed_at IS NOT NULL AND stream_sequence = $1`, letter.Sequence), "a message is gone and nobody erased it")
	}
}
