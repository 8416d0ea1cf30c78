package transport

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/issued"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// Callers proves who asks at an endpoint.
type Callers interface {
	Caller(ctx context.Context, endpoint string, c clients.Credential) (*clients.Client, error)
}

// Introspector tells of tokens.
type Introspector interface {
	Introspect(ctx context.Context, caller *clients.Client, token string) (issued.Claims, error)
}

// TokenRevoker ends tokens.
type TokenRevoker interface {
	Revoke(ctx context.Context, caller *clients.Client, token string) error
}

// KeyRevoker ends the API key that somebody holds. Holding it is all that it
// takes. The error is a *problem.Error.
type KeyRevoker interface {
	Revoke(ctx context.Context, key api.PresentedKey) (api.KeyStatus, error)
}

// about reads a request that is about a token.
func about(w http.ResponseWriter, r *http.Request) (token string, c clients.Credential, err error) {
	form, err := readForm(w, r)
	if err != nil {
		return "", c, err
	}
	if c, err = credential(r, form); err != nil {
		return "", c, err
	}
	// token_type_hint changes nothing: there is one way to look a token up.
	return form.Get("token"), c, nil
}

// Introspection is POST /oauth/introspect (RFC 7662).
func Introspection(callers Callers, tokens Introspector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, c, err := about(w, r)
		if err != nil {
			oauth.WriteError(w, r, err)
			return
		}
		caller, err := callers.Caller(r.Context(), exchange.AtIntrospection, c)
		if err == nil && token == "" {
			err = oauth.InvalidRequest("no_token", "The parameter token is missing.")
		}
		if err != nil {
			oauth.WriteError(w, r, err)
			return
		}
		claims, err := tokens.Introspect(r.Context(), caller, token)
		if err != nil {
			oauth.WriteError(w, r, err)
			return
		}
		// Nothing else may be told of a token that is not active.
		answer := map[string]any{"active": claims != nil}
		maps.Copy(answer, members(claims))
		oauth.WriteJSON(w, http.StatusOK, answer)
	})
}

func members(claims issued.Claims) map[string]any {
	if claims == nil {
		return nil
	}
	out := map[string]any{"token_type": "Bearer"}
	for name, value := range claims {
		out[name] = value
	}
	return out
}

// Revocation is POST /oauth/revoke (RFC 7009).
func Revocation(callers Callers, tokens TokenRevoker, keys KeyRevoker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, c, err := about(w, r)
		if err == nil {
			err = revoke(r.Context(), callers, tokens, keys, token, c)
		}
		if err != nil {
			oauth.WriteError(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	})
}

func revoke(ctx context.Context, callers Callers, tokens TokenRevoker, keys KeyRevoker, token string, c clients.Credential) error {
	key, err := api.ParseKey(token)
	isKey := err == nil
	if !isKey || c.ClientID != "" || c.APIKey != "" || c.Assertion != "" {
		caller, err := callers.Caller(ctx, exchange.AtRevocation, c)
		switch {
		case err != nil:
			return err
		case token == "":
			return oauth.InvalidRequest("no_token", "The parameter token is missing.")
		case !isKey:
			return tokens.Revoke(ctx, caller, token)
		}
	}
	// Whoever found a leaked key need not be a client of ours.
	_, err = keys.Revoke(ctx, api.PresentedKey{Secret: key.Reveal()})
	var refused *problem.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return oauth.Unavailable("clients_unavailable", err)
	case refused.Status == http.StatusTooManyRequests:
		return oauth.TooManyRequests("key_limit", refused.RetryAfter)
	case refused.Status >= http.StatusInternalServerError:
		return oauth.Unavailable("clients_unavailable", err)
	}
	return nil // whoever asks holds no key, so there is nothing to end
}
