package devstack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

// WithDatabase names everything that has a database of its own.
var WithDatabase = []string{Orders, Billing, TokenExchange, IdentityRelay, Console, DevIDP}

// DatabaseName of a service. The prefix keeps clear of what else lives on an
// existing server.
func DatabaseName(service string) string {
	return "shadowless_" + strings.ReplaceAll(service, "-", "_")
}

// databaseAddress is where a Postgres that is not the system's own listens;
// empty for a private one.
func databaseAddress(cfg Config) (string, error) {
	if cfg.DatabaseURL == "" {
		return "", nil
	}
	// The parser's error would quote the password.
	u, err := url.Parse(cfg.DatabaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return "", errors.New("the database URL must look like postgres://administrator:password@host:5432/postgres")
	}
	return u.Host, nil
}

// provision gives every service its database and two roles, and writes their
// URLs to files. The admin URL may be a private server's or an existing one's.
func provision(ctx context.Context, state *State, admin string) error {
	own, err := newOwnership(state, admin)
	if err != nil {
		return err
	}
	if err := own.check(ctx); err != nil {
		return err
	}
	for _, service := range WithDatabase {
		name := DatabaseName(service)
		db := localpostgres.Database{
			Name:     name,
			Migrator: localpostgres.Role{Name: name + "_migrator"},
			Runtime:  localpostgres.Role{Name: name + "_runtime"},
		}
		for _, role := range []*localpostgres.Role{&db.Migrator, &db.Runtime} {
			var err error
			if _, role.Password, err = state.Secret(role.Name+".password", RandomSecret); err != nil {
				return err
			}
		}
		if err := localpostgres.Provision(ctx, admin, db); err != nil {
			return fmt.Errorf("database of %s: %w", service, err)
		}
		for _, role := range []localpostgres.Role{db.Migrator, db.Runtime} {
			url, err := localpostgres.RoleURL(admin, db.Name, role)
			if err != nil {
				return err
			}
			if _, err := state.Write([]byte(url), "secrets", role.Name+".url"); err != nil {
				return err
			}
		}
	}
	if err := own.mark(ctx); err != nil {
		return err
	}
	_, err = state.Write([]byte(admin), "secrets", "postgres-admin.url")
	return err
}

// forgetDatabases drops what an earlier run made on a server that is not ours.
func forgetDatabases(ctx context.Context, admin string) error {
	for _, service := range WithDatabase {
		if err := localpostgres.Drop(ctx, admin, DatabaseName(service)); err != nil {
			return fmt.Errorf("forget the database of %s: %w", service, err)
		}
	}
	return nil
}
