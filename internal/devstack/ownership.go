package devstack

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrOthersDatabases tells that a server's databases were made from another
// state directory. What they hold is sealed with secrets that are there.
var ErrOthersDatabases = errors.New("the databases on this server belong to another state directory; use that one, or forget them with --fresh")

// ownership marks databases as one state directory's, in their comments.
type ownership struct{ admin, text string }

func newOwnership(state *State, admin string) (ownership, error) {
	_, id, err := state.Secret("system-id", RandomSecret)
	// The ID is random letters and digits, so it needs no quoting in SQL.
	return ownership{admin: admin, text: "shadowless " + id}, err
}

// check refuses databases with another's mark. One without any is taken over.
func (o ownership) check(ctx context.Context) error {
	return o.each(ctx, func(conn *pgx.Conn, database string) error {
		var text *string
		err := conn.QueryRow(ctx, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", database).Scan(&text)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case err != nil:
			return fmt.Errorf("whose database %s is: %w", database, err)
		case text != nil && *text != o.text:
			return ErrOthersDatabases
		}
		return nil
	})
}

// mark writes the comments.
func (o ownership) mark(ctx context.Context) error {
	return o.each(ctx, func(conn *pgx.Conn, database string) error {
		if _, err := conn.Exec(ctx, "COMMENT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" IS '"+o.text+"'"); err != nil {
			return fmt.Errorf("mark the database %s: %w", database, err)
		}
		return nil
	})
}

func (o ownership) each(ctx context.Context, do func(conn *pgx.Conn, database string) error) (err error) {
	conn, err := pgx.Connect(ctx, o.admin)
	if err != nil {
		return fmt.Errorf("connect as administrator: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for _, service := range WithDatabase {
		if err := do(conn, DatabaseName(service)); err != nil {
			return err
		}
	}
	return nil
}
