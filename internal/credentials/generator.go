package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shadowless/shadowless/pkg/identity/localpostgres"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// Secret is one Kubernetes Secret: file name → content.
type Secret struct {
	Name  string
	Type  string
	Files map[string]string
}

type generator struct {
	overlay Overlay
	vault   *vault
	given   string // folder of what is given instead of made
	now     func() time.Time
	missing []error
}

// Options of Generate.
type Options struct {
	Overlay Overlay
	// File remembers what was made.
	File string
	// Given is a folder with <secret>/<key> files that replace what would be
	// made; it must hold what only the identity provider can give, unless the
	// overlay has the development one.
	Given string
	Now   func() time.Time // nil: time.Now
}

// Generate returns every Secret of the overlay, ordered by name within their
// kind. Whatever is missing is reported at once.
func Generate(o Options) ([]Secret, error) {
	v, err := openVault(o.File)
	if err != nil {
		return nil, err
	}
	g := &generator{overlay: o.Overlay, vault: v, given: o.Given, now: o.Now}
	if g.now == nil {
		g.now = time.Now
	}
	secrets, err := g.secrets()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(g.missing...); err != nil {
		return nil, err
	}
	return secrets, v.save()
}

func (g *generator) secrets() ([]Secret, error) {
	ca, err := g.authority()
	if err != nil {
		return nil, err
	}
	all := []Secret{{Name: "authority", Files: map[string]string{"ca.crt": ca.chain}}}
	for _, name := range g.overlay.servers() {
		cert, err := g.server(name)
		if err != nil {
			return nil, err
		}
		all = append(all, Secret{Name: name + "-tls", Type: "kubernetes.io/tls", Files: map[string]string{
			"ca.crt": ca.chain, "tls.crt": cert.chain, "tls.key": cert.key,
		}})
	}
	for _, s := range g.contents() {
		secret := Secret{Name: s.name, Files: map[string]string{}}
		for _, f := range s.files {
			if secret.Files[f.key], err = g.file(s.name, f); err != nil {
				return nil, fmt.Errorf("secret %s: %w", s.name, err)
			}
		}
		all = append(all, secret)
	}
	return all, nil
}

// file takes what is given, else makes it.
func (g *generator) file(secret string, f file) (string, error) {
	if g.given != "" {
		raw, err := os.ReadFile(filepath.Join(g.given, secret, f.key))
		if err == nil {
			return string(raw), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read what is given: %w", err)
		}
	}
	if f.provider && !g.overlay.DevIDP {
		g.missing = append(g.missing, fmt.Errorf("%s/%s comes from the identity provider and must be given", secret, f.key))
		return "", nil
	}
	return f.make()
}

// file of a Secret. provider: only the identity provider can give it.
type file struct {
	key      string
	make     func() (string, error)
	provider bool
}

type contents struct {
	name  string
	files []file
}

// contents is the table of everything that is not a certificate.
func (g *generator) contents() []contents {
	var all []contents
	for _, service := range participants {
		own := append(g.databaseFiles(service),
			file{key: "nats.nk", make: func() (string, error) { return g.natsSeed(service) }},
			file{key: "tombstone.keys", make: g.remembered(service+"/tombstone.keys", func() string { return participant.NewTombstoneKey("k1") })},
		)
		if service != tokenExchange {
			own = append(own, file{key: "api.key", make: g.apiKey(service)})
		}
		all = append(all, contents{service, append(own, g.particular(service)...)})
	}
	keys := contents{name: "token-exchange-client-keys"}
	for _, client := range clients {
		keys.files = append(keys.files, file{key: client + ".key", make: g.apiKey(client)})
	}
	all = append(all, keys,
		contents{operator, []file{
			{key: "nats.nk", make: func() (string, error) { return g.natsSeed(operator) }},
			{key: "api.key", make: g.apiKey(operator)},
		}},
		contents{"nats-users", []file{{key: "users.conf", make: g.natsUsers}}},
		contents{"postgres-admin", []file{{key: "password", make: g.line("postgres/password")}}},
		contents{"databases", []file{
			{key: "databases.json", make: g.databases},
			{key: "admin-url", make: g.adminURL},
		}},
	)
	if g.overlay.DevIDP {
		all = append(all, contents{devIDP, append(g.databaseFiles(devIDP), g.particular(devIDP)...)})
	}
	return all
}

// particular is what one service has and no other.
func (g *generator) particular(service string) []file {
	switch service {
	case orders:
		return []file{{key: "directory-api.key", make: g.line("idp/directory-api.key"), provider: true}}
	case tokenExchange:
		return []file{
			{key: "key-hash.keys", make: g.remembered("token-exchange/key-hash.keys", func() string { return api.GenerateSecretKey("k1") })},
			{key: "key-encryption.keys", make: g.remembered("token-exchange/key-encryption.keys", func() string { return api.GenerateSecretKey("k1") })},
		}
	case identityRelay:
		return []file{
			{key: "webhook.secrets", make: g.line("idp/webhook"), provider: true},
			{key: "idp-administrator.json", make: administrator, provider: true},
		}
	case console:
		return []file{
			{key: "oidc-client.secret", make: g.line("idp/console"), provider: true},
			{key: "sign-up.secret", make: g.line("idp/sign-up"), provider: true},
			{key: "session.keys", make: g.remembered("console/session.keys", sealKey)},
		}
	case devIDP:
		return []file{
			{key: "console.secret", make: g.line("idp/console")},
			{key: "demo.secret", make: g.line("idp/demo")},
			{key: "sign-up.secret", make: g.line("idp/sign-up")},
			{key: "rotation.secret", make: g.line("idp/rotation")},
			{key: "webhook.secret", make: g.line("idp/webhook")},
			{key: "directory-api.key", make: g.line("idp/directory-api.key")},
		}
	default:
		return nil
	}
}

// administrator is the development IdP's, whose password is in its seed file
// for everybody to read.
func administrator() (string, error) {
	raw, err := json.Marshal(map[string]string{"email": "admin@example.com", "password": "Passw0rd!admin"})
	return string(raw) + "\n", err
}

func (g *generator) databaseFiles(service string) []file {
	of := func(role func(localpostgres.Database) localpostgres.Role) func() (string, error) {
		return func() (string, error) {
			db, err := g.database(service)
			if err != nil {
				return "", err
			}
			return g.databaseURL(db.Name, role(db)), nil
		}
	}
	return []file{
		{key: "database-url", make: of(func(db localpostgres.Database) localpostgres.Role { return db.Runtime })},
		{key: "migration-database-url", make: of(func(db localpostgres.Database) localpostgres.Role { return db.Migrator })},
	}
}

func (g *generator) adminURL() (string, error) {
	password, err := g.random("postgres/password")
	if err != nil {
		return "", err
	}
	return g.databaseURL("postgres", localpostgres.Role{Name: postgresAdmin, Password: password}), nil
}

func (g *generator) apiKey(client string) func() (string, error) {
	return func() (string, error) {
		return g.vault.value(client+"/api.key", func() (string, error) {
			key, err := api.GenerateKey(g.overlay.Name)
			if err != nil {
				return "", err
			}
			return key.Reveal() + "\n", nil
		})
	}
}

func (g *generator) line(name string) func() (string, error) {
	return func() (string, error) {
		value, err := g.random(name)
		return value + "\n", err
	}
}

func (g *generator) remembered(name string, fill func() string) func() (string, error) {
	return func() (string, error) {
		return g.vault.value(name, func() (string, error) { return fill(), nil })
	}
}
