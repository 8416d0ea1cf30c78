package faq

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/internal/journey"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// TestSkipTheShadowTable: Can we skip the shadow users table, and what does it cost?
//
// Yes. A service stores the token's `sub` as opaque text beside its own rows and nothing else: before a user's first
// order neither [orders](../services/orders) nor billing has a row of theirs, afterwards the ID stands in their rows, and the name is in no database but
// the identity provider's. A user who changes their name causes no write: the order's row is the same, byte for byte, while staff already
// see the new name.
//
// Three things are the price. A name on a list is a look-up in the [directory](../pkg/identity/directory) (a batch, cached, told of changes by events) where a JOIN would have been.
// Nothing but code checks that an ID exists, so orphans are found by an audit (`shadowless audit orphans`). And `ON DELETE CASCADE` becomes an erasure with receipts, which each
// service must take part in ([30 lines](identity.md)). Who reports over users and rows with SQL, in one database, is better off with the table.
func TestSkipTheShadowTable(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	holders := []string{devstack.Orders, devstack.Billing}
	for _, service := range holders {
		require.Empty(t, w.found(service, c.ID), service)
	}
	order := w.place(c.Person)
	for _, service := range holders {
		require.NotEmpty(t, w.found(service, c.ID), service)
	}
	for _, service := range devstack.WithDatabase {
		if service != devstack.DevIDP {
			require.Empty(t, w.found(service, c.name), service)
		}
	}
	require.NotEmpty(t, w.found(devstack.DevIDP, c.name))

	staff := w.staff()
	named := func(name string) func() bool {
		return func() bool {
			page, err := w.orders.OrdersOf(w.ctx(), staff.Token, c.ID, 0, "")
			return err == nil && page.Customer != nil && page.Customer.Name == name
		}
	}
	w.eventually("staff see the name", named(c.name))
	row := func() []string {
		return w.sql(devstack.Orders, `SELECT xmin::text || ' ' || o::text FROM orders o WHERE id = $1`, order.ID)
	}
	before := row()
	require.Len(t, before, 1)
	require.NoError(t, c.Post(w.ctx(), "/api/auth/update-user", map[string]string{"name": "Wilma Wed"}))
	w.eventually("staff see the new name", named("Wilma Wed"))
	require.Equal(t, before, row())
}

func (w *world) found(service, text string) []footprint.Finding {
	w.t.Helper()
	found, err := footprint.InDatabase(w.ctx(), w.database(service), text)
	require.NoError(w.t, err)
	return found
}

// eightTables reference users in the archetype with a users table.
var eightTables = []string{"addresses", "carts", "devices", "notes", "payment_methods", "reviews", "tickets", "wishes"}

func shadowSchema() migrate.Set {
	schema := []string{"-- +goose Up\nCREATE TABLE users (id text COLLATE \"C\" PRIMARY KEY, email text NOT NULL);\n"}
	for _, table := range eightTables {
		schema = append(schema, fmt.Sprintf("CREATE TABLE %s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "+
			"user_id text COLLATE \"C\" NOT NULL REFERENCES users ON DELETE CASCADE);\n", table))
	}
	return migrate.Set{Name: "eight", FS: fstest.MapFS{"00001_eight.sql": {Data: []byte(strings.Join(schema, ""))}}}
}

// TestEightTables: We have eight tables with foreign keys to users. What becomes of them?
//
// The column stays, the constraint goes, and an index takes its place: `ALTER TABLE … DROP CONSTRAINT`, eight times, then `DROP TABLE users`. The
// test does that to a live schema, after it has asked the catalog (`pg_constraint`) for the columns, and the eight answers are the service's
// disposition manifest: one line each that says erase, pseudonymise or retain. What the cascade did silently, one transaction of the
// [participant](../pkg/identity/README.md) does with a receipt: rows per table, counted before and again after. It does the same for tables in other databases, where no foreign key could ever reach.
// What is lost is the insert that fails for an unknown user; a verified token says that the user exists, and a tombstone refuses
// writes for one who was erased. Foreign keys among the service's own tables stay as they are.
func TestEightTables(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := identitytest.Postgres(t, shadowSchema(),
		migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"})
	for _, user := range []string{"alice", "bob"} {
		_, err := db.Pool.Exec(ctx, "INSERT INTO users VALUES ($1, $1)", user)
		require.NoError(t, err)
		for _, table := range eightTables {
			_, err := db.Pool.Exec(ctx, "INSERT INTO "+table+" (user_id) VALUES ($1)", user)
			require.NoError(t, err)
		}
	}

	// The catalog knows what references users: it writes the manifest.
	rows, err := db.Owner.Query(ctx, `SELECT c.conrelid::regclass::text, c.conname::text, a.attname::text FROM pg_constraint c
		JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
		WHERE c.contype = 'f' AND c.confrelid = 'users'::regclass ORDER BY 1`)
	require.NoError(t, err)
	manifest, statements := []string{"version: 1\ntables:\n"}, []string(nil)
	for rows.Next() {
		var table, constraint, column string
		require.NoError(t, rows.Scan(&table, &constraint, &column))
		manifest = append(manifest, fmt.Sprintf("  - {table: %s, columns: [{column: %s, disposition: erase}]}\n", table, column))
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s; CREATE INDEX ON %s (%s)", table, constraint, table, column))
	}
	require.NoError(t, rows.Err())
	require.Len(t, statements, len(eightTables))
	for _, statement := range append(statements, "DROP TABLE users") {
		_, err := db.Owner.Exec(ctx, statement)
		require.NoError(t, err)
	}

	receipt := erase(t, db, strings.Join(manifest, ""), "alice")
	require.Len(t, receipt.Columns, len(eightTables))
	for _, column := range receipt.Columns {
		require.EqualValues(t, 1, column.Rows, column.Table)
		require.Zero(t, column.Remaining, column.Table)
		var left []string
		require.NoError(t, db.Pool.QueryRow(ctx, "SELECT array_agg(user_id) FROM "+column.Table).Scan(&left))
		require.Equal(t, []string{"bob"}, left)
	}
}

// erase runs a participant over the database until it has answered one erasure.
func erase(t *testing.T, db *identitytest.Database, manifest, userID string) participant.Receipt {
	t.Helper()
	broker := identitytest.NATS(t)
	events := broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{identity.SubjectPrefix + ">"}})
	receipts := broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{participant.ReceiptSubjectPrefix + ">"}})
	_, err := events.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "eight-erasures", FilterSubject: identity.Filter("erasure"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(t, err)
	parsed, err := participant.ParseManifest([]byte(manifest))
	require.NoError(t, err)
	p, err := participant.New(participant.Config{
		Name: "eight", Manifest: parsed, Pool: db.Pool, JetStream: broker.JetStream, Tombstones: tombstones(t),
	})
	require.NoError(t, err)
	background(t, p.Run)
	publish(t, broker.JetStream, identity.Event{
		Type: identity.TypeErasureRequested, Version: 1, UserID: userID, ErasureID: uuid.NewString(),
	})
	var receipt participant.Receipt
	require.Eventually(t, func() bool {
		m, err := receipts.GetLastMsgForSubject(t.Context(), participant.ReceiptSubjectPrefix+"eight")
		return err == nil && json.Unmarshal(m.Data, &receipt) == nil
	}, within, every)
	return receipt
}

func tombstones(t *testing.T) *participant.Tombstones {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tombstone-keys")
	require.NoError(t, os.WriteFile(file, []byte(participant.NewTombstoneKey("k1")), 0o600))
	loaded, err := participant.LoadTombstones(file)
	require.NoError(t, err)
	return loaded
}

// background runs something until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

// publish puts an event into its stream.
func publish(t *testing.T, js jetstream.JetStream, e identity.Event) {
	t.Helper()
	e.ID, e.Source, e.Time = uuid.NewString(), "/relay", time.Now()
	raw, err := identity.Encode(e)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(t, err)
}

// TestEMailChange: A user changes their e-mail address. What do we have to update?
//
// Nothing, because nothing of ours holds the address: the ID in every row is the `sub`, which stays when the address changes. The user signs in with
// the new address, is the same user, and sees the same orders. Staff who must reach them ask orders for a contact, which reads the address
// from the identity provider at that moment; [the access table](access.md) lists that route as one that discloses e-mail, and no cache keeps addresses.
// A mirrored users table needs a webhook here, and each lost one leaves a letter to the wrong person. An address as the
// key (or as the way to find an account) is the mistake that this avoids: addresses are reassigned, IDs are not.
func TestEMailChange(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	order := w.place(c.Person)
	staff := w.staff()
	contact := func() string {
		got, err := w.orders.Contact(w.ctx(), staff.Token, c.ID)
		require.NoError(t, err)
		return got.Email
	}
	require.Equal(t, c.email, contact())
	moved := "new-" + c.email
	w.sql(devstack.DevIDP, "UPDATE users SET email = $2 WHERE id = $1", c.ID, moved)

	again := w.signIn(moved, c.password)
	require.Equal(t, c.ID, again.ID)
	page, err := w.orders.Orders(w.ctx(), again.Token, 0, "")
	require.NoError(t, err)
	require.Len(t, page.Orders, 1)
	require.Equal(t, order.ID, page.Orders[0].ID)
	require.Equal(t, moved, contact())
	_, err = journey.SignIn(w.ctx(), w.Running, c.email, c.password)
	require.Error(t, err, "the old address is nobody's")
}

// TestRightToErasure: A user asks to be forgotten. How do we know that it happened everywhere?
//
// The identity provider's deletion opens an erasure at [identity-relay](../services/identity-relay): access is blocked at once, and after a grace period every registered participant
// erases or pseudonymises in one transaction and answers with a receipt. It is complete only when all have answered; until then it is open, late after an hour, and names who is missing.
// Then there is a certificate, which names the user by a keyed hash. The test deletes a user with a paid order and an open invoice, waits for five receipts, and then searches
// every database, stream and bucket for the ID in every spelling: what it finds are the invoices, which the receipt declares as kept by bookkeeping law, with the
// day on which that ends. A token that is still valid is refused. What it does not reach are backups and logs: a restored backup is found by reconciliation
// ([how](identity.md)), and logs never held the ID.
func TestRightToErasure(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	w.paid(c.Person)
	w.place(c.Person)
	require.NoError(t, w.admin().Post(w.ctx(), "/api/auth/admin/remove-user", map[string]string{"userId": c.ID}))

	relay := w.relay()
	var done relayapi.ErasureDetail
	w.eventually("the erasure is complete", func() bool {
		page, err := relay.Erasures(w.ctx(), relayapi.ErasureFilter{User: c.ID})
		if err != nil || len(page.Erasures) == 0 {
			return false
		}
		done, err = relay.Erasure(w.ctx(), page.Erasures[0].ID)
		return err == nil && done.State == "complete"
	})
	var certificate relayapi.Certificate
	require.NoError(t, json.Unmarshal(done.Certificate, &certificate))
	require.Len(t, certificate.Receipts, 5)
	kept := map[string]int64{}
	for _, quoted := range certificate.Receipts {
		var receipt participant.Receipt
		require.NoError(t, json.Unmarshal(quoted.Receipt, &receipt))
		for _, column := range receipt.Columns {
			if column.Remaining > 0 {
				require.NotEmpty(t, column.LegalReason)
				require.NotNil(t, column.RetainedUntil)
				kept[devstack.DatabaseName(quoted.Participant)+" "+column.Table+"."+column.Column] = column.Remaining
			}
		}
	}
	found, err := devstack.Scan(w.ctx(), w.Running, c.ID)
	require.NoError(t, err)
	require.NotEmpty(t, found, "the invoices")
	for _, f := range found {
		require.EqualValues(t, kept[f.Store+" "+f.Place], f.Count, f.String())
	}
	require.Equal(t, 401, w.reads(c.Token))
}

// TestPersonalDataInLogs: What personal data is in our logs?
//
// None that names a person. A request's line has its route, status, the kind of caller and the client, and never the user ID, the name, the address or a token; a
// user ID in a path is logged as the route's pattern. Refusals log their cause without quoting the value that was wrong. The test lets a user sign up, order, pay and be refused,
// lets staff look at them, and then reads every line that the seven programs wrote. So a log needs no erasure and can be kept for as long as operations like.
// When a case must be followed, the request ID and the trace ID of [the answer](problems.md) lead to the lines, and the audit of token-exchange, which is erased with the user, says who asked for which token.
func TestPersonalDataInLogs(t *testing.T) {
	t.Parallel()
	w := system(t)
	c := w.newCustomer()
	order := w.paid(c.Person)
	require.Equal(t, 403, journey.Refused(w.refund(c.Person, order, 90_00)))
	staff := w.staff()
	_, err := w.orders.OrdersOf(w.ctx(), staff.Token, c.ID, 0, "")
	require.NoError(t, err)
	_, err = w.orders.Contact(w.ctx(), staff.Token, c.ID)
	require.NoError(t, err)

	files, err := filepath.Glob(filepath.Join(w.StateDir, "logs", "*.log"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 7)
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(raw)
	}
	text := all.String()
	require.Contains(t, text, "/v1/users/{user_id}/contact", "the requests are in the logs")
	spellings := []string{c.ID, base64.RawURLEncoding.EncodeToString([]byte(c.ID)), c.email, c.name, c.password, c.Token, staff.ID, "eyJ"}
	require.False(t, slices.ContainsFunc(spellings, func(s string) bool {
		found := strings.Contains(text, s)
		if found {
			t.Logf("%.8s… is in a log", s)
		}
		return found
	}))
}
