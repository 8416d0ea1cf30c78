package harness

import (
	"context"
	"net/http"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

func (w *world) operatorToken() (*authn.TokenSource, error) {
	return authn.NewTokenSource(authn.TokenSourceConfig{
		TokenURL: w.urls[devstack.TokenExchange] + "/oauth/token", ClientID: devstack.Operator,
		APIKeyFile: w.running.SecretFile(devstack.Operator + ".key"), Audience: relayapi.Audience, Scopes: []string{relayapi.Scope},
	})
}

// operator calls the relay; done ends its token source.
func (w *world) operator() (client *relayapi.Client, done func(), err error) {
	source, err := w.operatorToken()
	if err != nil {
		return nil, nil, err
	}
	client, err = relayapi.NewClient(w.urls[devstack.IdentityRelay], &http.Client{Timeout: patience, Transport: source.Transport(w.client.Transport)})
	return client, source.Close, err
}

// restart ends a process and runs it with another environment.
func (w *world) restart(ctx context.Context, name string, environ []string) error {
	w.services[name].Stop()
	if err := w.serve(name, w.urls[name], environ); err != nil {
		return err
	}
	return w.ready(ctx, name)
}

// restartOne runs the services that share a database with another setting.
func (w *world) restartOne(ctx context.Context, changes ...string) error {
	pair := [2]string{oneBilling, oneOrders}
	for _, name := range pair {
		environ, err := w.shadowEnviron(name, pair)
		if err != nil {
			return err
		}
		if err := w.restart(ctx, name, append(environ, changes...)); err != nil {
			return err
		}
	}
	return nil
}
