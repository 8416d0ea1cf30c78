package localpostgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Role is a login of one service.
type Role struct {
	Name     string
	Password string
}

// Database is what one service gets: a database that only its two roles may
// enter. The migrator owns the schema; the runtime may read and write rows and
// nothing else, so it is subject to row-level security and cannot change tables.
type Database struct {
	Name     string
	Migrator Role
	Runtime  Role
}

// Provision makes or updates the database and its roles. admin is the URL of a
// role that may create both. It can be repeated; passwords are set anew.
func Provision(ctx context.Context, admin string, db Database) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("connect as administrator: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	for _, role := range []Role{db.Migrator, db.Runtime} {
		if err := ensureRole(ctx, conn, role); err != nil {
			return fmt.Errorf("role %s: %w", role.Name, err)
		}
	}
	if err := ensureDatabase(ctx, conn, db); err != nil {
		return fmt.Errorf("database %s: %w", db.Name, err)
	}
	inside, err := pgx.Connect(ctx, withDatabase(admin, db.Name))
	if err != nil {
		return fmt.Errorf("connect to %s as administrator: %w", db.Name, err)
	}
	defer inside.Close(ctx) //nolint:errcheck // nothing is pending on it
	migrator, runtime := quote(db.Migrator.Name), quote(db.Runtime.Name)
	for _, statement := range []string{
		"ALTER SCHEMA public OWNER TO " + migrator,
		"REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"GRANT USAGE ON SCHEMA public TO " + runtime,
		"ALTER DEFAULT PRIVILEGES FOR ROLE " + migrator + " IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO " + runtime,
		"ALTER DEFAULT PRIVILEGES FOR ROLE " + migrator + " IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO " + runtime,
	} {
		if _, err := inside.Exec(ctx, statement); err != nil {
			return fmt.Errorf("grant in %s: %w", db.Name, err)
		}
	}
	return nil
}

func ensureRole(ctx context.Context, conn *pgx.Conn, role Role) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role.Name).Scan(&exists); err != nil {
		return err
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	// Utility statements take no parameters; format() quotes for us.
	var statement string
	err := conn.QueryRow(ctx, "SELECT format('"+verb+" ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD %L', $1::text, $2::text)",
		role.Name, role.Password).Scan(&statement)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return err
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, db Database) error {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", db.Name).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+quote(db.Name)+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		"REVOKE ALL ON DATABASE " + quote(db.Name) + " FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + quote(db.Name) + " TO " + quote(db.Migrator.Name) + ", " + quote(db.Runtime.Name),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Drop removes the database with everything in it; roles stay.
func Drop(ctx context.Context, admin, database string) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return fmt.Errorf("connect as administrator: %w", err)
	}
	_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(database)+" WITH (FORCE)")
	return errors.Join(err, conn.Close(ctx))
}

// RoleURL is admin's URL with another database and login.
func RoleURL(admin, database string, role Role) (string, error) {
	u, err := url.Parse(admin)
	if err != nil {
		return "", errors.New("the database URL does not parse") // the cause would quote the password
	}
	u.User = url.UserPassword(role.Name, role.Password)
	u.Path = "/" + database
	return u.String(), nil
}

func withDatabase(admin, database string) string {
	u, err := url.Parse(admin)
	if err != nil {
		return admin // pgx reports it without the password
	}
	u.Path = "/" + database
	return u.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
