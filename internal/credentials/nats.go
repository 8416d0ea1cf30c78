package credentials

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/shadowless/shadowless/internal/streams"
)

// natsSeed is the secret half of a NATS user.
func (g *generator) natsSeed(user string) (string, error) {
	return g.vault.value(user+"/nats.nk", func() (string, error) {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return "", err
		}
		seed, err := pair.Seed()
		return string(seed) + "\n", err
	})
}

// natsUsers is the server's authorization block: each service's public key and
// what it may publish and subscribe to.
func (g *generator) natsUsers() (string, error) {
	var out strings.Builder
	out.WriteString("authorization {\n  users = [\n")
	for _, user := range streams.Users {
		seed, err := g.natsSeed(user)
		if err != nil {
			return "", err
		}
		pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(seed)))
		if err != nil {
			return "", fmt.Errorf("the remembered NATS seed of %s is damaged", user) // the cause might quote it
		}
		public, err := pair.PublicKey()
		if err != nil {
			return "", fmt.Errorf("public key of %s: %w", user, err)
		}
		may := streams.PermissionsOf(user)
		fmt.Fprintf(&out, "    # %s\n    { nkey: %q, permissions: { publish: { allow: %s }, subscribe: { allow: %s } } }\n",
			user, public, list(may.Publish), list(may.Subscribe))
	}
	out.WriteString("  ]\n}\n")
	return out.String(), nil
}

// list quotes subjects; JSON's quoting is NATS's, and a quoted "$JS" is no
// variable there.
func list(subjects []string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // ">" is a wildcard
	_ = encoder.Encode(subjects) // strings always encode
	return strings.TrimSpace(out.String())
}
