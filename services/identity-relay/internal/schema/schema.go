// Package schema holds the migrations of the relay's database.
package schema

import (
	"embed"

	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

//go:embed migrations/*.sql
var files embed.FS

// Sets are all migrations, in the order in which they are applied.
func Sets() []migrate.Set {
	return []migrate.Set{
		{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
		{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
		{Name: "identity_relay", FS: files, Dir: "migrations"},
	}
}
