package auther

import (
	"net/http"

	"github.com/shadowless/shadowless/internal/problem"
)

// Reason says why a delivery was refused. It is counted and logged; the sender
// learns no more than that it was not let in, or not understood.
type Reason string

// Reasons.
const (
	BadSignature Reason = "signature"
	TooOld       Reason = "too_old"
	FromFuture   Reason = "from_future"
	TooLarge     Reason = "too_large"
	MediaType    Reason = "media_type"
	Malformed    Reason = "malformed"
	Mismatch     Reason = "header_mismatch"
	InvalidData  Reason = "invalid_data"
)

var (
	errUnauthorized = problem.New(http.StatusUnauthorized, "webhook-unauthorized", "The delivery is not authenticated.")
	errBadDelivery  = problem.New(http.StatusBadRequest, "webhook-invalid", "The delivery is not valid.")
)

func (r Reason) public() *problem.Error {
	switch r {
	case BadSignature, TooOld, FromFuture:
		return errUnauthorized
	default:
		return errBadDelivery
	}
}

type refusal struct {
	reason Reason
	cause  error
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return string(r.reason)
	}
	return string(r.reason) + ": " + r.cause.Error()
}

func refuse(reason Reason, cause error) error { return &refusal{reason, cause} }
