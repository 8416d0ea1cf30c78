package kit

import (
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
		return req, problem.ErrInvalidRequest.Because(withoutContent(err))
	}
	return finish(req, r)
}

// withoutContent tells where a body went wrong. The decoder's own words quote
// it, and whoever sends an e-mail address must not find it in the log.
func withoutContent(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntactic):
		return fmt.Errorf("the body is not JSON, at byte %d", syntactic.ByteOffset)
	case errors.As(err, &semantic):
		return fmt.Errorf("the body has another shape than %v, at byte %d", semantic.GoType, semantic.ByteOffset)
	default:
		return errors.New("the body could not be read whole")
	}
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
