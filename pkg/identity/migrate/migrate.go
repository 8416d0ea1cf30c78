// Package migrate applies embedded goose migrations. Each set keeps its own
// version table, so that the tables which several services share (the mailbox,
// the participant's tombstones and receipts) evolve apart from a service's own.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	// The migrator speaks database/sql because goose does.
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Set is one ordered series of goose files.
type Set struct {
	Name string // names the version table: goose_<name>
	FS   fs.FS
	Dir  string // folder of the .sql files inside FS; "." when empty
}

var setName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// Up applies every migration that is missing, set after set. A session lock
// makes replicas that start together wait for each other. The role of url must
// own the schema.
func Up(ctx context.Context, url string, sets ...Set) (err error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open the database to migrate: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, set := range sets {
		if err := up(ctx, db, set); err != nil {
			return fmt.Errorf("migrate %s: %w", set.Name, err)
		}
	}
	return nil
}

func up(ctx context.Context, db *sql.DB, set Set) error {
	if !setName.MatchString(set.Name) {
		return fmt.Errorf("%q cannot name a version table", set.Name)
	}
	files := set.FS
	if set.Dir != "" && set.Dir != "." {
		var err error
		if files, err = fs.Sub(set.FS, set.Dir); err != nil {
			return fmt.Errorf("open %s: %w", set.Dir, err)
		}
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("make the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("goose_"+set.Name),
		goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return err
	}
	return nil
}
