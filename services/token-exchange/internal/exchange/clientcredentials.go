package exchange

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// ClientCredentials is RFC 6749, section 4.4: a client's token for itself.
type ClientCredentials struct{}

var _ Grant = ClientCredentials{}

// Type implements Grant.
func (ClientCredentials) Type() string { return clients.GrantClientCredentials }

// Subject implements Grant.
func (ClientCredentials) Subject(_ context.Context, client *clients.Client, _ *Request, _ *audit.Attempt) (*Basis, error) {
	return &Basis{Kind: authn.KindService, Subject: client.Subject(), Permissions: client.Permissions, Scopes: OwnScopes}, nil
}

// GrantAPIKey names Auther's own exchange in the audit.
const GrantAPIKey = "api_key"

// ErrNoClientScope: the key's client may not exchange it.
var ErrNoClientScope = errors.New("the client has nothing that a key could be exchanged for")

// ExchangeKey is Auther's exchange: the key alone names the client, and the
// token is for the client's default audience, or for all of them if none is.
func (s *Service) ExchangeKey(ctx context.Context, apiKey, address string) (issued *Issued, err error) {
	credential := clients.Credential{APIKey: apiKey, Address: address}
	attempt := s.attempt(&Request{GrantType: GrantAPIKey, Credential: credential})
	defer func() { issued, err = s.record(ctx, attempt, issued, err) }()
	client, err := s.authenticate(ctx, credential, attempt)
	if err != nil {
		return nil, err
	}
	target := slices.Sorted(maps.Keys(client.Audiences))
	if name := client.Default(); name != "" {
		target = []string{name}
	}
	if len(target) == 0 || !client.MayUse(clients.GrantClientCredentials) {
		return nil, oauth.UnauthorizedClient("no_client_scope", "This client may not exchange its key.").Because(ErrNoClientScope)
	}
	basis, err := ClientCredentials{}.Subject(ctx, client, nil, attempt)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, client, basis, target, nil, attempt)
}
