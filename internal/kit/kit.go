// Package kit is the one small adapter to go-kit: a typed service method becomes
// an endpoint, authorization wraps it, and transport/http decodes and encodes.
// Nothing else of go-kit is used; docs/adr/0002 says why.
package kit

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-kit/kit/endpoint"
	httptransport "github.com/go-kit/kit/transport/http"

	"github.com/shadowless/shadowless/internal/access"
)

// Endpoint adapts a typed service method. A wrong request type is a wiring
// fault, so it is reported as an error and never panics a server.
func Endpoint[Req, Resp any](fn func(context.Context, Req) (Resp, error)) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		req, ok := request.(Req)
		if !ok {
			return nil, fmt.Errorf("endpoint wants %T, transport sent %T", *new(Req), request)
		}
		return fn(ctx, req)
	}
}

// Handle serves one route: authenticate (the mux), decode, authorize, call,
// encode with the given status.
func Handle[Req, Resp any](m *access.Mux, pattern string, decode func(*http.Request) (Req, error), fn func(context.Context, Req) (Resp, error), status int) {
	e := m.Authorize(pattern)(Endpoint(fn))
	m.Handle(pattern, httptransport.NewServer(e,
		func(_ context.Context, r *http.Request) (any, error) { return decode(r) },
		encode(status),
		httptransport.ServerBefore(withRequest),
		httptransport.ServerErrorEncoder(func(ctx context.Context, err error, w http.ResponseWriter) {
			r, _ := ctx.Value(requestKey{}).(*http.Request)
			access.WriteError(w, r, err)
		}),
	))
}

type requestKey struct{}

func withRequest(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// Headered is a response that sets headers, such as Location or ETag.
type Headered interface{ SetHeaders(h http.Header) }

func encode(status int) httptransport.EncodeResponseFunc {
	return func(_ context.Context, w http.ResponseWriter, response any) error {
		if h, ok := response.(Headered); ok {
			h.SetHeaders(w.Header())
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if status == http.StatusNoContent {
			w.WriteHeader(status)
			return nil
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		return json.MarshalWrite(w, response)
	}
}
