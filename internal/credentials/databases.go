package credentials

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
)

// Paths inside a pod.
const (
	// SecretsDir is where a service finds its own Secret.
	SecretsDir = "/run/secrets/shadowless"
	// TLSDir is where it finds its certificate and the authority's.
	TLSDir = "/run/tls"
)

const postgresAdmin = "postgres"

// database names a service's database and its two roles.
func (g *generator) database(service string) (localpostgres.Database, error) {
	name := strings.ReplaceAll(service, "-", "_")
	db := localpostgres.Database{
		Name:     name,
		Migrator: localpostgres.Role{Name: name + "_migrator"},
		Runtime:  localpostgres.Role{Name: name + "_runtime"},
	}
	for _, role := range []*localpostgres.Role{&db.Migrator, &db.Runtime} {
		var err error
		if role.Password, err = g.random(role.Name + "/password"); err != nil {
			return localpostgres.Database{}, err
		}
	}
	return db, nil
}

// databaseURL is one role's way in. The server's name is checked against the
// overlay's authority.
func (g *generator) databaseURL(database string, role localpostgres.Role) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role.Name, role.Password), Host: g.overlay.PostgresAddress, Path: "/" + database,
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {TLSDir + "/ca.crt"}}.Encode(),
	}
	return u.String() + "\n"
}

// databases is the list that the provisioning Job works through.
func (g *generator) databases() (string, error) {
	var all []localpostgres.Database
	for _, service := range g.overlay.Services() {
		db, err := g.database(service)
		if err != nil {
			return "", err
		}
		all = append(all, db)
	}
	raw, err := json.MarshalIndent(all, "", "  ")
	return string(raw) + "\n", err
}

func (g *generator) random(name string) (string, error) {
	return g.vault.value(name, func() (string, error) { return rand.Text(), nil })
}

// DatabasesCommand is `shadowless k8s databases`: it gives every service its
// database and two roles on one server. It can be repeated, and it sets the
// passwords anew, so a lost credentials file costs no data.
type DatabasesCommand struct {
	File    string        `help:"List of databases, as the Secret has it." required:"" type:"existingfile"`
	URLFile string        `help:"File with the administrator's Postgres URL." required:"" type:"existingfile" name:"url-file"`
	Wait    time.Duration `help:"How long the server may take to come up." default:"2m"`
}

// Run provisions and says on out what there is.
func (c *DatabasesCommand) Run(ctx context.Context, out io.Writer) error {
	admin, err := config.ReadSecretFile(c.URLFile)
	if err != nil {
		return fmt.Errorf("--url-file: %w", err)
	}
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	var all []localpostgres.Database
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("--file: %s is not a list of databases", c.File) // the cause might quote a password
	}
	for _, db := range all {
		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, localpostgres.Provision(ctx, admin, db) },
			backoff.WithBackOff(backoff.NewExponentialBackOff()), backoff.WithMaxElapsedTime(c.Wait))
		if err != nil {
			return fmt.Errorf("provision %s: %w", db.Name, err)
		}
		if _, err := fmt.Fprintf(out, "database %s: owned by %s, used by %s\n", db.Name, db.Migrator.Name, db.Runtime.Name); err != nil {
			return err
		}
	}
	return nil
}
