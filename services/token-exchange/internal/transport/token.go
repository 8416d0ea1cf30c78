package transport

import (
	"context"
	"net/http"

	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/exchange"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
)

// Exchanger makes tokens.
type Exchanger interface {
	Exchange(ctx context.Context, req *exchange.Request) (*exchange.Issued, error)
	ExchangeKey(ctx context.Context, apiKey, address string) (*exchange.Issued, error)
	Refuse(ctx context.Context, req *exchange.Request, err error)
}

// Token is POST /oauth/token.
func Token(s Exchanger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := parse(w, r)
		if err != nil {
			if req == nil {
				req = &exchange.Request{Credential: clients.Credential{Address: address(r)}}
			}
			s.Refuse(r.Context(), req, err)
			oauth.WriteError(w, r, err)
			return
		}
		issued, err := s.Exchange(r.Context(), req)
		if err != nil {
			oauth.WriteError(w, r, err)
			return
		}
		oauth.WriteJSON(w, http.StatusOK, issued)
	})
}

func refuseMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	e := oauth.InvalidRequest("method", "This endpoint supports POST alone.")
	e.Status = http.StatusMethodNotAllowed
	oauth.WriteError(w, r, e)
}
