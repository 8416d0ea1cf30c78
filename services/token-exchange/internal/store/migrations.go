// Package store is the service's PostgreSQL: its migrations and the queries of
// the packages beside it.
package store

import "embed"

// Migrations holds the goose migrations in the folder "migrations".
//
//go:embed migrations/*.sql
var Migrations embed.FS
