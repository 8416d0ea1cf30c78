package workload

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

// TrustOptions of Trust. All but KeyStore are required.
type TrustOptions struct {
	Issuers     []policy.WorkloadIssuer
	Audiences   []string // this service's issuer and token endpoint
	Revocations *authn.RevocationList
	HTTPClient  *http.Client
	KeyStore    authn.KeyStore
	Logger      *slog.Logger
	Development bool
}

// Trust makes the verifier of assertions. It is apart from the verifier of
// callers: a workload's token opens nothing but the token endpoint.
func Trust(ctx context.Context, o TrustOptions) (*authn.Verifier, error) {
	var cfg authn.Config
	tokens := map[string]string{}
	for _, w := range o.Issuers {
		algorithms := w.Algorithms
		if len(algorithms) == 0 {
			algorithms = policy.DefaultWorkloadAlgorithms
		}
		cfg.Issuers = append(cfg.Issuers, authn.IssuerConfig{
			Issuer: w.Issuer, Profile: "oidc", JWKSURLs: w.JWKSURLs, Algorithms: algorithms,
			Types: []string{"", "JWT"}, // Kubernetes sends none
			// Subjects are looked up together with their issuer.
			UserNamespace: w.Issuer + "#",
		})
		for _, url := range w.JWKSURLs {
			if w.TokenFile != "" {
				tokens[url] = w.TokenFile
			}
		}
	}
	client := *o.HTTPClient
	client.Transport = &bearer{files: tokens, next: client.Transport}
	v, err := authn.New(ctx, cfg, authn.Options{
		Audiences: o.Audiences, Revocations: o.Revocations, KeyStore: o.KeyStore, HTTPClient: &client,
		Logger: o.Logger, Development: o.Development,
	})
	if err != nil {
		return nil, fmt.Errorf("trust the workload issuers: %w", err)
	}
	return v, nil
}

// bearer sends a token to the URLs that want one, and to no other.
type bearer struct {
	files map[string]string // URL → file
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	file, ok := b.files[r.URL.String()]
	if !ok {
		return next.RoundTrip(r)
	}
	token, err := config.ReadSecretFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the token for a key set: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	return next.RoundTrip(r)
}
