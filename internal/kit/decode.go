package kit

import (
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/shadowless/shadowless/internal/problem"
)

// Binder fills fields from the path, the query and the headers.
type Binder interface{ Bind(r *http.Request) error }

// Validator checks a request after it was decoded.
type Validator interface{ Validate() error }

// JSON decodes a strict JSON body (exact names, no duplicates, nothing unknown,
// nothing behind it) into a Req, then calls Bind and Validate where *Req has them.
func JSON[Req any](r *http.Request) (Req, error) {
	var req Req
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return req, problem.ErrMediaType
	}
	if err := json.UnmarshalRead(r.Body, &req, json.RejectUnknownMembers(true)); err != nil {
		if p := problem.From(err); p.Status == http.StatusRequestEntityTooLarge {
			return req, p
		}
		return req, problem.ErrInvalidRequest.Because(err)
	}
	return finish(req, r)
}

// NoBody makes a Req from the path, the query and the headers alone.
func NoBody[Req any](r *http.Request) (Req, error) {
	var req Req
	return finish(req, r)
}

func finish[Req any](req Req, r *http.Request) (Req, error) {
	if b, ok := any(&req).(Binder); ok {
		if err := b.Bind(r); err != nil {
			return req, err
		}
	}
	if v, ok := any(&req).(Validator); ok {
		if err := v.Validate(); err != nil {
			return req, err
		}
	}
	return req, nil
}
