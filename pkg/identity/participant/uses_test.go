package participant_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const bob = "bob"

const useSchema = `
CREATE TABLE order_items (order_id int REFERENCES orders (id), position int, sku text, PRIMARY KEY (order_id, position));
CREATE TABLE gift_cards (order_id int, position int, words text, id int PRIMARY KEY, FOREIGN KEY (order_id, position) REFERENCES order_items);
CREATE TABLE answers (user_id text COLLATE "C", key text, answer json, PRIMARY KEY (user_id, key));
CREATE TABLE totals (user_id text COLLATE "C", month int, amount bigint, bonus bigint, PRIMARY KEY (user_id, month));
CREATE TABLE names (user_id text PRIMARY KEY, nick text);
CREATE TABLE logins (id bytea, user_id text, token bytea);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;`

const useManifest = `
version: 1
tables:
  - table: orders
    columns:
      - {column: note, key: user_id, disposition: erase}
      - {column: user_id, disposition: pseudonymise}
      - {column: placed_by, disposition: pseudonymise}
      - {column: shared_with, disposition: pseudonymise}
      - {column: details, path: [buyer, id], disposition: pseudonymise}
    children:
      - {table: order_items, column: order_id, of: id, children: [{table: gift_cards, column: order_id, of: order_id}]}
  - table: answers
    columns: [{column: user_id, disposition: erase}]
    rekey: {conflict: keep_new, reason: the same call was made under both}
  - table: totals
    columns: [{column: user_id, disposition: erase}]
    rekey: {conflict: add, add: [amount, bonus], reason: a sum of both}
  - table: names
    columns: [{column: user_id, disposition: erase}]
  - table: logins
    columns: [{column: user_id, disposition: erase}]
    withhold: [{column: token, reason: a secret}]
    rekey: {action: discard, reason: its token names the old user}
  - table: public.invoices
    columns:
      - {column: user_id, disposition: retain, where: kind = 'user', legal_reason: bookkeeping law, retention: P10Y, since: issued_on}
`

// useWorld has a participant with every kind of column, and rows of Alice.
func useWorld(t *testing.T) (*world, *participant.Participant) {
	t.Helper()
	w := setup(t)
	_, err := w.db.Owner.Exec(t.Context(), useSchema)
	require.NoError(t, err)
	_, err = w.stream.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "shop-erasures", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5,
		FilterSubjects: []string{identity.Filter("erasure"), identity.Filter(identity.TypeUserRekeyed)},
	})
	require.NoError(t, err)
	w.fill()
	for i := range 2 {
		w.exec(`INSERT INTO order_items VALUES ($1, 1, 'book')`, i)
		w.exec(`INSERT INTO gift_cards VALUES ($1, 1, 'for you', $1)`, i)
		w.exec(`INSERT INTO answers VALUES ($1, $2, '{"a":  1}')`, alice, strconv.Itoa(i))
		w.exec(`INSERT INTO totals VALUES ($1, $2, 5)`, alice, i)
	}
	w.exec(`INSERT INTO names VALUES ($1, 'al')`, alice)
	w.exec(`INSERT INTO logins VALUES ('\x00ff', $1, 'secret')`, alice)
	manifest, err := participant.ParseManifest([]byte(useManifest))
	require.NoError(t, err)
	return w, w.participant(func(c *participant.Config) { c.Manifest = manifest })
}

func (w *world) rekey(oldID, newID, rekeyID string, version uint64) {
	w.t.Helper()
	data, err := json.Marshal(identity.Rekeying{RekeyID: rekeyID, NewUserID: newID})
	require.NoError(w.t, err)
	e := identity.Event{
		ID: uuid.NewString(), Source: "/relay", Type: identity.TypeUserRekeyed, Version: version, Time: time.Now(), UserID: oldID, Data: data,
	}
	raw, err := identity.Encode(e)
	require.NoError(w.t, err)
	_, err = w.broker.JetStream.Publish(w.t.Context(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(w.t, err)
}

func (w *world) rekeyed(n int) participant.RekeyReceipt {
	w.t.Helper()
	var last []byte
	require.Eventually(w.t, func() bool {
		s, err := w.broker.JetStream.Stream(w.t.Context(), "RECEIPTS")
		require.NoError(w.t, err)
		found := 0
		for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
			m, err := s.GetMsg(w.t.Context(), seq)
			require.NoError(w.t, err)
			if m.Subject == "receipts.v1.shop.rekeyed" {
				found, last = found+1, m.Data
			}
		}
		return found >= n
	}, within, every)
	var r participant.RekeyReceipt
	require.NoError(w.t, json.Unmarshal(last, &r))
	return r
}

func TestHoldings_TellEveryPlaceAndWhoWasErased(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	list, next, err := p.Holdings(t.Context(), "", 100)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []string{alice, bob, "carol"}, []string{list[0].UserID, list[1].UserID, list[2].UserID})
	require.Equal(t, []participant.HeldPlace{
		{Table: "orders", Column: "user_id", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "placed_by", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "shared_with", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "orders", Column: "details/buyer/id", Disposition: participant.Pseudonymise, Rows: 2},
		{Table: "answers", Column: "user_id", Disposition: participant.Erase, Rows: 2},
		{Table: "totals", Column: "user_id", Disposition: participant.Erase, Rows: 2},
		{Table: "names", Column: "user_id", Disposition: participant.Erase, Rows: 1},
		{Table: "logins", Column: "user_id", Disposition: participant.Erase, Rows: 1},
		{Table: "public.invoices", Column: "user_id", Disposition: participant.Retain, Rows: 2},
	}, list[0].Places)
	require.Equal(t, []participant.HeldPlace{{Table: "orders", Column: "shared_with", Disposition: participant.Pseudonymise, Rows: 3}}, list[2].Places)

	// Page by page it is the same, and so is the plain list of IDs.
	var ids []string
	for after := ""; ; {
		part, next, err := p.Holdings(t.Context(), after, 1)
		require.NoError(t, err)
		for _, h := range part {
			ids = append(ids, h.UserID)
		}
		if after = next; next == "" {
			break
		}
	}
	require.Equal(t, []string{alice, bob, "carol"}, ids)
	plain, _, err := p.UserIDs(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, ids, plain)

	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, alice, "e-1", 7)
	w.receipts(1)
	list, _, err = p.Holdings(t.Context(), "", 100)
	require.NoError(t, err)
	require.True(t, list[0].Erased)
	require.Len(t, list[0].Places, 1, "only what is retained")
	require.Equal(t, participant.Retain, list[0].Places[0].Disposition)
	require.Len(t, list, 3, "pseudonyms are nobody")
}

type exported map[string][]map[string]any

func export(t *testing.T, p *participant.Participant, userID string) (all exported, pages []participant.ExportPage) {
	t.Helper()
	all = exported{}
	for cursor := ""; ; {
		page, err := p.Export(t.Context(), userID, cursor)
		require.NoError(t, err)
		pages = append(pages, page)
		for _, raw := range page.Rows {
			var row map[string]any
			require.NoError(t, json.Unmarshal(raw, &row))
			all[page.Table] = append(all[page.Table], row)
		}
		if cursor = page.Next; cursor == "" {
			return all, pages
		}
	}
}

func TestExport_TellsEverythingButWhatIsWithheld(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	all, pages := export(t, p, alice)
	require.Len(t, pages, 8, "each table and child is told of, also an empty one")
	require.Len(t, all["orders"], 2)
	require.Equal(t, "private", all["orders"][0]["note"])
	require.Equal(t, base64.StdEncoding.EncodeToString([]byte(alice)), all["orders"][0]["placed_by"])
	require.Equal(t, []any{"carol", alice}, all["orders"][0]["shared_with"])
	require.Equal(t, []map[string]any{{"order_id": 0., "position": 1., "sku": "book"}, {"order_id": 1., "position": 1., "sku": "book"}}, all["order_items"])
	require.Len(t, all["gift_cards"], 2, "what belongs to a child belongs to the user, too")
	require.Len(t, all["public.invoices"], 2)
	require.Equal(t, []map[string]any{{"id": "AP8=", "user_id": alice}}, all["logins"])
	login := pages[6]
	require.Equal(t, []string{"id", "user_id"}, login.Columns)
	require.Equal(t, []participant.Withheld{{Column: "token", Reason: "a secret"}}, login.Withheld)
	require.Contains(t, string(pages[3].Rows[0]), `{"a":  1}`, "json stays as it was stored")

	nobody, _ := export(t, p, "nobody")
	require.Empty(t, nobody)
	for _, cursor := range []string{"?", "e30x", base64.RawURLEncoding.EncodeToString([]byte(`{"s":9}`)), base64.RawURLEncoding.EncodeToString([]byte(`{"s":0,"a":["1","2"]}`))} {
		_, err := p.Export(t.Context(), alice, cursor)
		require.ErrorIs(t, err, participant.ErrCursor, cursor)
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM orders WHERE user_id = $1`, alice), "an export changes nothing")
}

func TestExport_IsPagedByRowsAndBytes(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	w.exec(`INSERT INTO answers SELECT $1, 'k' || n, to_json(repeat('x', 20000)) FROM generate_series(1, 120) n`, alice)
	w.exec(`INSERT INTO logins SELECT '\x01', $1, NULL FROM generate_series(1, 1200)`, alice) // has no primary key
	all, pages := export(t, p, alice)
	require.Len(t, all["answers"], 122)
	require.Len(t, all["logins"], 1201)
	counts := map[string]int{}
	for _, page := range pages {
		counts[page.Table]++
		size := 0
		for _, row := range page.Rows {
			size += len(row)
		}
		require.LessOrEqual(t, size, 1<<20)
		require.LessOrEqual(t, len(page.Rows), 500)
	}
	require.Equal(t, 3, counts["answers"])
	require.Equal(t, 3, counts["logins"])
	keys := map[any]bool{}
	for _, row := range all["answers"] {
		keys[row["key"]] = true
	}
	require.Len(t, keys, 122, "no row twice")
}

func TestRekey_MovesMergesAndDiscardsAsTheManifestSays(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	w.exec(`INSERT INTO answers VALUES ('new', '0', '{"b":2}')`)
	w.exec(`INSERT INTO totals VALUES ('new', 1, 7)`) // and no bonus
	w.exec(`UPDATE totals SET bonus = 3 WHERE user_id = $1 AND month = 1`, alice)
	w.exec(`UPDATE orders SET shared_with = ARRAY['new', 'carol', $1] WHERE id = 1`, alice)

	preview, err := p.PreviewRekey(t.Context(), alice, "new")
	require.NoError(t, err)
	require.False(t, preview.OldErased || preview.NewErased)
	want := []participant.RekeyedColumn{
		{Table: "orders", Column: "user_id", Action: participant.RekeyMove, Rows: 2},
		{Table: "orders", Column: "placed_by", Action: participant.RekeyMove, Rows: 2},
		{Table: "orders", Column: "shared_with", Action: participant.RekeyMove, Rows: 2},
		{Table: "orders", Column: "details/buyer/id", Action: participant.RekeyMove, Rows: 2},
		{
			Table: "answers", Column: "user_id", Action: participant.RekeyMove, Rows: 1, Merged: 1, Conflict: participant.ConflictKeepNew,
			Reason: "the same call was made under both",
		},
		{Table: "totals", Column: "user_id", Action: participant.RekeyMove, Rows: 1, Merged: 1, Conflict: participant.ConflictAdd, Reason: "a sum of both"},
		{Table: "names", Column: "user_id", Action: participant.RekeyMove, Rows: 1, Conflict: participant.ConflictRefuse},
		{Table: "logins", Column: "user_id", Action: participant.RekeyDiscard, Rows: 1, Reason: "its token names the old user"},
		{Table: "public.invoices", Column: "user_id", Action: participant.RekeyMove, Rows: 2},
	}
	require.Equal(t, want, preview.Columns)
	require.Equal(t, 2, w.count(`SELECT count(*) FROM orders WHERE user_id = $1`, alice), "a preview writes nothing")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM logins`))
	require.Zero(t, w.count(`SELECT count(*) FROM participant_tombstones`))

	run(t, p.Run)
	w.rekey(alice, "new", "r-1", 7)
	receipt := w.rekeyed(1)
	require.Equal(t, want, receipt.Columns, "what the preview said")
	require.Equal(t, "r-1", receipt.RekeyID)
	require.Len(t, receipt.Manifest, 64)
	require.Equal(t, 2, w.count(`SELECT count(*) FROM orders WHERE user_id = 'new' AND placed_by = 'new' AND details #>> '{buyer,id}' = 'new'`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM orders WHERE shared_with = ARRAY['new', 'carol']`), "one of two stays")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM answers WHERE user_id = 'new' AND answer::text = '{"b":2}'`), "the new one stays")
	require.Equal(t, 12, w.count(`SELECT sum(amount) FROM totals WHERE user_id = 'new' AND month = 1`))
	require.Equal(t, 3, w.count(`SELECT bonus FROM totals WHERE user_id = 'new' AND month = 1`), "nothing plus something is something")
	require.Equal(t, 5, w.count(`SELECT sum(amount) FROM totals WHERE user_id = 'new' AND month = 0`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM orders WHERE user_id = 'bob'`))
	require.Zero(t, w.count(`SELECT count(*) FROM logins`))
	require.Zero(t, w.count(`SELECT count(*) FROM participant_rekeyings r WHERE r::text LIKE '%alice%' OR r::text LIKE '%"new"%'`))

	require.ErrorIs(t, w.refuse(p.Tombstones(), alice), participant.ErrErased, "late tokens of the old ID write nothing")
	require.NoError(t, w.refuse(p.Tombstones(), "new"))
	preview, err = p.PreviewRekey(t.Context(), alice, "new")
	require.NoError(t, err)
	require.True(t, preview.OldErased)

	// Again, under another message ID: one receipt, word for word, and no change.
	w.exec(`INSERT INTO names VALUES ('late', 'x')`)
	w.rekey(alice, "new", "r-1", 7)
	require.Equal(t, receipt, w.rekeyed(1))
	w.waitSettled()
	require.Equal(t, 1, w.count(`SELECT count(*) FROM participant_rekeyings`))
	// A user who has the new ID is erased like any other.
	w.publish(identity.TypeErasureRequested, "new", "e-1", 9)
	require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM orders WHERE user_id = 'new'`) == 0 }, within, every)
}

func TestRekey_RefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	w.exec(`INSERT INTO names VALUES ('new', 'n')`)
	preview, err := p.PreviewRekey(t.Context(), alice, "new")
	require.NoError(t, err)
	for _, c := range preview.Columns {
		if c.Table == "names" {
			require.Equal(t, int64(1), c.Refused)
			require.Zero(t, c.Rows)
		}
	}
	_, err = p.PreviewRekey(t.Context(), alice, alice)
	require.ErrorIs(t, err, participant.ErrSameUser)

	dead := make(chan string, 9)
	sub, err := w.broker.Conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", func(m *nats.Msg) { dead <- string(m.Data) })
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	run(t, p.Run)
	w.publish(identity.TypeErasureRequested, "gone", "e-1", 3)
	w.receipts(1)
	// A readmission is newer than the rekeying that would bury the user again.
	w.publish(identity.TypeErasureReadmitted, "back", "e-2", 20)
	w.waitSettled()
	for name, says := range map[string]struct{ oldID, newID, rekeyID, want string }{
		"undecided conflict":  {alice, "new", "r-1", "both user IDs have rows"},
		"erased new user":     {alice, "gone", "r-2", "user was erased"},
		"the same user":       {alice, alice, "r-3", "are the same"},
		"no rekeying":         {alice, "x", "", "data"},
		"superseded":          {"back", "x", "r-4", "readmission"},
		"new user is no user": {alice, strings.Repeat("x", 256), "r-5", "data"},
	} {
		w.rekey(says.oldID, says.newID, says.rekeyID, 10)
		select {
		case advisory := <-dead:
			require.Contains(t, advisory, says.want, name)
			require.NotContains(t, advisory, "alice", name)
		case <-time.After(within):
			t.Fatal(name)
		}
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM orders WHERE user_id = $1`, alice))
	require.NoError(t, w.refuse(p.Tombstones(), alice), "no tombstone without the rest")

	// Somebody decides, and the redriven message is applied.
	w.exec(`DELETE FROM names WHERE user_id = 'new'`)
	w.rekey(alice, "new", "r-1", 10)
	require.Equal(t, "r-1", w.rekeyed(1).RekeyID)
}

// A writer of either user waits for the rekeying, and is refused or moved with it.
func TestRekey_ExcludesWritersOfBothUsers(t *testing.T) {
	t.Parallel()
	w, p := useWorld(t)
	run(t, p.Run)
	ctx := context.Background()
	tx, err := w.db.Pool.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, p.Tombstones().Refuse(ctx, tx, alice))
	_, err = tx.Exec(ctx, `INSERT INTO orders (id, user_id) VALUES (77, $1)`, alice)
	require.NoError(t, err)
	w.rekey(alice, "new", "r-1", 7)
	require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM pg_locks WHERE NOT granted`) > 0 }, within, every)
	require.NoError(t, tx.Commit(ctx))
	w.rekeyed(1)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM orders WHERE id = 77 AND user_id = 'new'`))
	err = pgx.BeginFunc(ctx, w.db.Pool, func(tx pgx.Tx) error { return p.Tombstones().Refuse(ctx, tx, alice) })
	require.ErrorIs(t, err, participant.ErrErased)
}

func TestManifest_RefusesUsesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"withhold without a reason": `withhold: [{column: note}]`,
		"withhold no column":        `withhold: [{column: "a b", reason: x}]`,
		"child without a column":    `children: [{table: order_items, of: id}]`,
		"unknown action":            `rekey: {action: copy}`,
		"unknown conflict":          `rekey: {conflict: toss, reason: x}`,
		"discard without a reason":  `rekey: {action: discard}`,
		"discard with a conflict":   `rekey: {action: discard, conflict: keep_new, reason: x}`,
		"add nothing":               `rekey: {conflict: add, reason: x}`,
		"add where nothing is":      `rekey: {conflict: keep_new, add: [a], reason: x}`,
		"keep without a reason":     `rekey: {conflict: keep_new}`,
	} {
		_, err := participant.ParseManifest([]byte("version: 1\ntables:\n  - table: orders\n    columns: [{column: user_id, disposition: erase}]\n    " + text + "\n"))
		require.ErrorIs(t, err, participant.ErrManifest, name)
	}
	w, _ := useWorld(t)
	for says, text := range map[string]string{
		"withholds nothing_here":                      `withhold: [{column: nothing_here, reason: x}]`,
		"no table nowhere":                            `children: [{table: nowhere, column: a, of: id}]`,
		"order_items.sku_id does not lead to orders":  `children: [{table: order_items, column: sku_id, of: id}]`,
		"gift_cards.sku does not lead to order_items": `children: [{table: order_items, column: order_id, of: id, children: [{table: gift_cards, column: sku, of: sku}]}]`,
		"adds up points":                              `rekey: {conflict: add, add: [points], reason: x}`,
	} {
		m, err := participant.ParseManifest([]byte("version: 1\ntables:\n  - table: orders\n    columns: [{column: user_id, disposition: erase}]\n    " + text + "\n"))
		require.NoError(t, err)
		err = m.Validate(t.Context(), w.db.Pool)
		require.ErrorIs(t, err, participant.ErrManifest)
		require.ErrorContains(t, err, says)
	}
}
