package identityrelay_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/holdings"
	"github.com/shadowless/shadowless/internal/userids"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

var noteTables fs.FS = fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text COLLATE "C" NOT NULL, body text NOT NULL);
CREATE TABLE accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id text COLLATE "C" NOT NULL, made_on date NOT NULL DEFAULT now());
`)}}

const noteManifest = `version: 1
tables:
  - table: notes
    columns: [{column: user_id, disposition: erase}]
  - table: accounts
    columns: [{column: user_id, disposition: retain, legal_reason: bookkeeping, retention: P10Y, since: made_on}]
`

// neighbour is a real participant in a service of its own.
type neighbour struct {
	name string
	db   *identitytest.Database
	url  string
	stop func()
	*participant.Participant
	room *room
}

// addNeighbour makes the participant and serves its user IDs; it answers
// erasures once run is called. The name must be one with declared durables.
func (r *room) addNeighbour(name string) *neighbour {
	r.t.Helper()
	n := &neighbour{name: name, room: r, stop: func() {}}
	n.db = identitytest.Postgres(r.t,
		migrate.Set{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		migrate.Set{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		migrate.Set{Name: "notes", FS: noteTables})
	manifest, err := participant.ParseManifest([]byte(noteManifest))
	require.NoError(r.t, err)
	backends, _ := r.mesh.Backends(name)
	n.Participant, err = participant.New(participant.Config{
		Name: name, Manifest: manifest, Pool: n.db.Pool, JetStream: r.mesh.Broker.JetStream,
		TombstoneKeyFile: filepath.Clean(backends.TombstoneKeyFile), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(r.t, err)
	revoked := authn.NewRevocationList(authn.RevocationListOptions{})
	revoked.MarkLoaded()
	revoked.Heartbeat(time.Now().Add(time.Hour)) // nothing is revoked here
	verifier, err := authn.New(r.t.Context(), authn.Config{Issuers: []authn.IssuerConfig{r.mesh.Exchange.Issuer().Config("shadowless")}},
		authn.Options{Audiences: []string{name}, Revocations: revoked, Development: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(r.t, err)
	r.t.Cleanup(verifier.Close)
	mux := access.NewMux(access.Table{Service: name, Routes: append([]access.Route{userids.Route()}, holdings.Routes()...)}, verifier)
	userids.Handle(mux, n.Participant)
	holdings.Handle(mux, n.Participant)
	handler, err := mux.Handler()
	require.NoError(r.t, err)
	server := httptest.NewServer(handler)
	r.t.Cleanup(server.Close)
	n.url = server.URL
	return n
}

// run answers erasures until the test or n.stop ends it.
func (n *neighbour) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	n.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(n.room.t, <-done)
		}
	}
	n.room.t.Cleanup(n.stop)
}

// holds gives the participant data of users.
func (n *neighbour) holds(userIDs ...string) {
	n.room.t.Helper()
	for _, id := range userIDs {
		for _, statement := range []string{`INSERT INTO notes (user_id, body) VALUES ($1, 'x')`, `INSERT INTO accounts (user_id) VALUES ($1)`} {
			_, err := n.db.Pool.Exec(n.room.t.Context(), statement, id)
			require.NoError(n.room.t, err)
		}
	}
}

func (n *neighbour) notes(userID string) (count int) {
	n.room.t.Helper()
	require.NoError(n.room.t, n.db.Pool.QueryRow(n.room.t.Context(), `SELECT count(*) FROM notes WHERE user_id = $1`, userID).Scan(&count))
	return count
}
