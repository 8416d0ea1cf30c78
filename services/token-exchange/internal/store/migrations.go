// Package store is the service's PostgreSQL: its migrations and the queries of
// the packages beside it.
package store

import (
	"embed"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// Migrations holds the goose migrations in the folder "migrations".
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Sets lists every migration of this database, the shared tables' first.
func Sets() []migrate.Set {
	return []migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		{Name: "token_exchange", FS: Migrations, Dir: "migrations"},
	}
}
