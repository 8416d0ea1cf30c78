// Package schema holds the migrations of the identity provider's database.
package schema

import "embed"

// Name is the migration set's, Dir the folder inside Migrations.
const (
	Name = "dev_idp"
	Dir  = "migrations"
)

// Migrations are goose files.
//
//go:embed migrations/*.sql
var Migrations embed.FS
