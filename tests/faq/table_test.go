package faq

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
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
// the identity provider's. A user who changes their name causes no write in orders or billing: their rows are the same, byte for byte and by the transaction that wrote them, while staff already
// see the new name. It is not free elsewhere: identity-relay keeps the delivery and an event ([measured](archetypes.md)), and a service that consumes events about users, here token-exchange, remembers which ones it has had.
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
	before := [][]string{w.rows(devstack.Orders, c.ID), w.rows(devstack.Billing, c.ID)}
	require.NoError(t, c.Post(w.ctx(), "/api/auth/update-user", map[string]string{"name": "Wilma Wed"}))
	w.eventually("staff see the new name", named("Wilma Wed"))
	renamed := w.updated(c.ID)
	exchange := w.database(devstack.TokenExchange)
	w.eventually("token-exchange has had the event", func() bool {
		found, err := footprint.InDatabase(w.ctx(), exchange, renamed.ID)
		return err == nil && len(found) > 0
	})
	for i, service := range holders {
		require.Equal(t, before[i], w.rows(service, c.ID), service)
		require.Empty(t, w.found(service, renamed.ID), service)
	}
	require.Contains(t, strings.Join(before[0], "\n"), order.ID.String())
	require.Contains(t, strings.Join(before[1], "\n"), order.InvoiceID.String())
}

func (w *world) found(service, text string) []footprint.Finding {
	w.t.Helper()
	found, err := footprint.InDatabase(w.ctx(), w.database(service), text)
	require.NoError(w.t, err)
	return found
}

// rows are a user's in a service, each with its table and the transaction that
// wrote it last.
func (w *world) rows(service, userID string) []string {
	w.t.Helper()
	var all []string
	for _, table := range w.sql(service, `SELECT table_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND column_name = 'user_id' ORDER BY 1`) {
		all = append(all, w.sql(service, `SELECT '`+table+` ' || xmin::text || ' ' || r::text FROM `+table+` r WHERE user_id = $1 ORDER BY 1`, userID)...)
	}
	return all
}

// updated waits until the relay has told that the user changed.
func (w *world) updated(userID string) (event relayapi.Event) {
	w.t.Helper()
	relay, since := w.relay(), time.Now().Add(-within)
	w.eventually("the relay has told that the user changed", func() bool {
		for after := int64(0); ; {
			page, err := relay.Events(w.ctx(), relayapi.EventFilter{Since: since, Type: identity.TypeUserUpdated, After: after})
			if err != nil {
				return false
			}
			for _, e := range page.Events {
				if e.UserID == userID && e.Published {
					event = e
					return true
				}
			}
			if after = page.Next; after == 0 {
				return false
			}
		}
	})
	return event
}

// eightTables reference users in the archetype with a users table.
var eightTables = []string{"addresses", "carts", "devices", "invoices", "notes", "reviews", "tickets", "wishes"}

// dispositions are the answers that somebody must give; the rest is erased.
var dispositions = map[string]string{
	"invoices": "retain, legal_reason: bookkeeping law, retention: P10Y",
	"reviews":  "pseudonymise",
}

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
// disposition manifest: one line each that says erase, pseudonymise or retain, here six, one (reviews) and one (invoices). What the cascade did silently, and to all eight alike, one transaction of the
// [participant](../pkg/identity/README.md) does with a receipt: rows per table, counted before and again after, and until when the invoices are kept, and why. Services with databases of their own take part in the same erasure, where no foreign key could ever reach.
// What is lost is the insert that fails for an unknown user: the test writes a row for nobody, and it is taken. A verified token says that the user exists, and a tombstone refuses
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
		disposition := cmp.Or(dispositions[table], "erase")
		manifest = append(manifest, fmt.Sprintf("  - {table: %s, columns: [{column: %s, disposition: %s}]}\n", table, column, disposition))
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s; CREATE INDEX ON %s (%s)", table, constraint, table, column))
	}
	require.NoError(t, rows.Err())
	require.Len(t, statements, len(eightTables))
	for _, statement := range append(statements, "DROP TABLE users") {
		_, err := db.Owner.Exec(ctx, statement)
		require.NoError(t, err)
	}

	receipt, stones := erase(t, db, strings.Join(manifest, ""), "alice")
	require.Len(t, receipt.Columns, len(eightTables))
	for _, column := range receipt.Columns {
		require.EqualValues(t, 1, column.Rows, column.Table)
		var left string
		require.NoError(t, db.Pool.QueryRow(ctx, "SELECT string_agg(user_id, ' ' ORDER BY id) FROM "+column.Table).Scan(&left))
		switch column.Disposition {
		case participant.Erase:
			require.Equal(t, "bob", left, column.Table)
		case participant.Pseudonymise:
			require.Equal(t, "reviews", column.Table)
			require.Regexp(t, `^erased:[0-9a-f-]{36} bob$`, left)
		case participant.Retain:
			require.Equal(t, "invoices", column.Table)
			require.Equal(t, "alice bob", left)
			require.EqualValues(t, 1, column.Remaining)
			require.Equal(t, "bookkeeping law", column.LegalReason)
			require.WithinDuration(t, time.Now().AddDate(10, 0, 0), *column.RetainedUntil, 48*time.Hour)
			continue
		}
		require.Zero(t, column.Remaining, column.Table)
	}

	write := func(user string) error {
		return pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
			if err := stones.Refuse(ctx, tx, user); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO notes (user_id) VALUES ($1)", user)
			return err
		})
	}
	require.ErrorIs(t, write("alice"), participant.ErrErased)
	require.NoError(t, write("bob"))
	require.NoError(t, write("nobody"), "there is no key to refuse it")
}

// TestEMailChange: A user changes their e-mail address. What do we have to update?
//
// Nothing, because nothing of ours holds the address: the ID in every row is the `sub`, which stays when the address changes. The test searches every database, stream and bucket of ours for the old address
// and the new one and finds neither, and the user's rows in orders and billing are the same, byte for byte and by the transaction that wrote them. The user signs in with
// the new address, is the same user, and sees the same orders. The provider's `user.updated` has the address in it; the event that the relay makes of it has the ID alone. Staff who must reach them ask orders for a contact, which reads the address
// from the identity provider at that moment; [the access table](access.md) lists that route as one that discloses e-mail, and no cache keeps addresses.
// (The development provider has no form for it, so the test changes the address in its database and has it tell of the user.)
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
	before := [][]string{w.rows(devstack.Orders, c.ID), w.rows(devstack.Billing, c.ID)}
	moved := "new-" + c.email
	w.sql(devstack.DevIDP, "UPDATE users SET email = $2 WHERE id = $1", c.ID, moved)
	require.NoError(t, c.Post(w.ctx(), "/api/auth/update-user", struct{}{}))
	told := w.updated(c.ID)
	require.Empty(t, told.Data, "the event is the user's ID")
	for _, address := range []string{c.email, moved} {
		found, err := devstack.Scan(w.ctx(), w.Running, address)
		require.NoError(t, err)
		require.Empty(t, found)
	}

	again := w.signIn(moved, c.password)
	require.Equal(t, c.ID, again.ID)
	page, err := w.orders.Orders(w.ctx(), again.Token, 0, "")
	require.NoError(t, err)
	require.Len(t, page.Orders, 1)
	require.Equal(t, order.ID, page.Orders[0].ID)
	require.Equal(t, moved, contact())
	require.Equal(t, before, [][]string{w.rows(devstack.Orders, c.ID), w.rows(devstack.Billing, c.ID)})
	_, err = journey.SignIn(w.ctx(), w.Running, c.email, c.password)
	require.Error(t, err, "the old address is nobody's")
}
