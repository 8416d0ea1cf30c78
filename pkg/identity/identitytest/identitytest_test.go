package identitytest_test

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

const (
	readyTimeout = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

func TestMain(m *testing.M) { identitytest.Main(m) }

var notes = migrate.Set{Name: "notes", FS: fstest.MapFS{"00001_notes.sql": {Data: []byte(
	"-- +goose Up\nCREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL);\n")}}}

func TestPostgres_EachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			db := identitytest.Postgres(t, notes)
			_, err := db.Pool.Exec(ctx, "INSERT INTO notes (body) VALUES ('x')")
			require.NoError(t, err)
			var n int
			require.NoError(t, db.Pool.QueryRow(ctx, "SELECT count(*) FROM notes").Scan(&n))
			require.Equal(t, 1, n)
		})
	}
}

func TestPostgres_RuntimeRoleCannotChangeTables(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, notes)
	for _, statement := range []string{
		"CREATE TABLE other (id int)", "ALTER TABLE notes ADD COLUMN c int", "DROP TABLE notes",
		"TRUNCATE notes", "SET ROLE test_migrator", "ALTER ROLE test_runtime BYPASSRLS",
	} {
		_, err := db.Pool.Exec(context.Background(), statement)
		require.Error(t, err, statement)
	}
}

func TestNATS_KeepsStreamsOverARestart(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	broker := identitytest.NATS(t)
	broker.Stream(jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	_, err := broker.JetStream.Publish(ctx, "s.1", []byte("x"))
	require.NoError(t, err)
	broker.Restart()
	require.Eventually(t, func() bool {
		s, err := broker.JetStream.Stream(ctx, "S")
		return err == nil && s.CachedInfo().State.Msgs == 1
	}, readyTimeout, pollInterval)
}
