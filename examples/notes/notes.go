package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

const maxNoteBytes = 4096

//go:embed migrations/*.sql
var migrations embed.FS

// sets are the tables of the service and, under their own prefixes, of what it
// takes part in.
var sets = []migrate.Set{
	{Name: "notes", FS: migrations, Dir: "migrations"},
	// participant:begin
	{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
	{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
	// participant:end
}

// notebook keeps notes under user IDs. It has no table of users.
type notebook struct {
	pool       *pgxpool.Pool
	tombstones *participant.Tombstones
}

// write adds a note. Error: participant.ErrErased.
func (n notebook) write(ctx context.Context, userID, body string) error {
	return pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) error {
		// participant:begin
		if err := n.tombstones.Refuse(ctx, tx, userID); err != nil {
			return err
		}
		// participant:end
		if _, err := tx.Exec(ctx, "INSERT INTO notes (user_id, body) VALUES ($1, $2)", userID, body); err != nil {
			return fmt.Errorf("write a note: %w", err)
		}
		return nil
	})
}

// ServeHTTP takes the note in the body for whoever the token says.
func (n notebook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := authn.FromContext(r.Context())
	if !ok || p.Kind() != authn.KindUser {
		authn.WriteError(w, authn.ErrForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNoteBytes))
	if err != nil {
		http.Error(w, "A note has at most 4096 bytes.", http.StatusRequestEntityTooLarge)
		return
	}
	switch err := n.write(r.Context(), p.UserID(), string(body)); {
	case errors.Is(err, participant.ErrErased):
		http.Error(w, "This user was erased; nothing can be written for them.", http.StatusForbidden)
	case err != nil:
		slog.ErrorContext(r.Context(), "a note was not written", "cause", err.Error())
		http.Error(w, "Try again later.", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusCreated)
	}
}
