package identityrelay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/access"
	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/api"
	"github.com/shadowless/shadowless/services/identity-relay/autherapi"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/scim"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source/auther"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source/secevent"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// User lists that the relay can read.
const (
	userListAuther = "auther"
	userListSCIM   = "scim"
)

// users is the identity provider's list of users, with the namespace that their
// IDs have here.
func users(cfg Config, client *http.Client, issuers authn.Config) (userlist.Namespaced, error) {
	namespace, err := namespaceOf(cfg.UsersOf, issuers)
	if err != nil {
		return userlist.Namespaced{}, err
	}
	list := userlist.Namespaced{Namespace: namespace}
	if cfg.UserList == userListSCIM {
		list.Source = scim.New(scim.Config{
			BaseURL: cfg.SCIMURL, BearerFile: cfg.SCIMBearerFile, UserID: cfg.SCIMUserID, HTTPClient: client, PerSecond: cfg.IdPRequestsPerSecond,
		})
		return list, nil
	}
	list.Source = autherapi.New(autherapi.Config{
		BaseURL: cfg.IdPURL, CredentialFile: cfg.IdPCredentialFile, HTTPClient: client, PerSecond: cfg.IdPRequestsPerSecond, Now: time.Now,
	})
	return list, nil
}

// namespaceOf finds whose users the list names. With several issuers somebody
// must say so: the users of the others are not missing only because this list
// does not name them.
func namespaceOf(usersOf string, issuers authn.Config) (string, error) {
	var owners []authn.IssuerConfig
	for _, ic := range issuers.Issuers {
		if ic.UsersOf == "" {
			owners = append(owners, ic)
		}
	}
	if usersOf == "" && len(owners) == 1 {
		return owners[0].UserNamespace, nil
	}
	for _, ic := range owners {
		if ic.Issuer == usersOf {
			return ic.UserNamespace, nil
		}
	}
	if usersOf == "" {
		return "", fmt.Errorf("IDENTITY_RELAY_USERS_OF is required, because %d issuers of AUTHN_CONFIG_FILE issue users", len(owners))
	}
	return "", errors.New("IDENTITY_RELAY_USERS_OF names no issuer of AUTHN_CONFIG_FILE that issues users of its own")
}

// lookup asks the list about one user. One of another issuer is not found: that
// decides nothing, since only reconciliation draws conclusions from that.
func lookup(list userlist.Namespaced) relay.Lookup {
	return func(ctx context.Context, userID string) (relay.Standing, error) {
		u, found, err := list.Lookup(ctx, userID)
		if errors.Is(err, userlist.ErrForeign) {
			return relay.Standing{}, nil
		}
		return relay.Standing{Found: found, Banned: u.Banned}, err
	}
}

// known asks the list whether it knows a user. One of another issuer is not known.
func known(list userlist.Namespaced) func(context.Context, string) (bool, error) {
	ask := lookup(list)
	return func(ctx context.Context, userID string) (bool, error) {
		standing, err := ask(ctx, userID)
		return standing.Found, err
	}
}

// handleSources adds the routes that facts are pushed to.
func handleSources(
	ctx context.Context, mux *access.Mux, cfg Config, m *mesh.Mesh, issuers authn.Config, namespace string,
	recorder *relay.Recorder, refused *source.Refusals,
) (stop func(), err error) {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	secrets, err := auther.LoadSecrets(cfg.WebhookSecretsFile)
	if err != nil {
		return nil, fmt.Errorf("IDENTITY_RELAY_WEBHOOK_SECRETS_FILE: %w", err)
	}
	mux.Handle("POST /v1/webhooks/auther", &auther.Webhook{
		Secrets: secrets, MaxAge: cfg.WebhookMaxAge, Submit: recorder.Submit, Now: now, Namespace: namespace, Refused: refused, Log: m.Logger,
	})
	const events = "POST /v1/security-events"
	if cfg.TransmittersFile == "" {
		mux.Handle(events, secevent.Closed(refused))
		return func() {}, nil
	}
	transmitters, err := secevent.LoadTransmitters(cfg.TransmittersFile, api.Audience, issuers)
	if err != nil {
		return nil, fmt.Errorf("IDENTITY_RELAY_TRANSMITTERS_FILE: %w", err)
	}
	receiver, err := secevent.Open(ctx, secevent.Receiver{
		Transmitters: transmitters, HTTPClient: m.HTTPClient, MaxAge: cfg.WebhookMaxAge, Submit: recorder.Submit,
		Refused: refused, Now: now, Development: cfg.IsDevelopment(), Log: m.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("IDENTITY_RELAY_TRANSMITTERS_FILE: %w", err)
	}
	mux.Handle(events, receiver)
	return receiver.Close, nil
}
