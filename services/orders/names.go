package orders

import (
	"context"
	"fmt"
	"net/http"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/identity/directory"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// openDirectory returns who knows names, or nil where nobody is configured. What
// it keeps in memory follows the identity events.
func openDirectory(m *mesh.Mesh, cfg Config, erasures *participant.Participant) (directory.Directory, error) {
	if cfg.DirectoryURL == "" {
		return nil, nil //nolint:nilnil // no directory is a configuration, and no error
	}
	keyed := *m.HTTPClient
	keyed.Transport = apiKey{file: cfg.DirectoryAPIKeyFile, next: m.HTTPClient.Transport}
	names, err := directory.NewClient(directory.ClientConfig{
		URL: cfg.DirectoryURL, HTTPClient: &keyed, Erased: erasures.Erased,
		EmailPermitted: func(ctx context.Context) bool { return access.Discloses(ctx, access.Email) },
	})
	if err != nil {
		return nil, fmt.Errorf("ORDERS_DIRECTORY_URL: %w", err)
	}
	m.Go("names' changes", func(ctx context.Context) error { return names.Follow(ctx, m.Conn, m.Logger) })
	return names, nil
}

// apiKey sends the key with each request, read anew so that a rotated one counts
// at once.
type apiKey struct {
	file string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (k apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := config.ReadSecretFile(k.file)
	if err != nil {
		return nil, fmt.Errorf("ORDERS_DIRECTORY_API_KEY_FILE: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("X-Api-Key", key)
	return k.next.RoundTrip(r)
}
