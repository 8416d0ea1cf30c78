package auther

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
)

// MaxBodySize of a delivery, in bytes. The largest that was seen has 600.
const MaxBodySize = 256 << 10

// Webhook is the endpoint. It answers 204 only after the commit.
type Webhook struct {
	Secrets *Secrets
	// MaxAge of a delivery's first timestamp, which retries repeat.
	MaxAge time.Duration
	Submit func(ctx context.Context, facts ...relay.Fact) ([]relay.Outcome, error)
	Now    func() time.Time
	// Namespace is put before the IdP's IDs to make user IDs; see authn's user_namespace.
	Namespace string
	Refused   *source.Refusals
	Log       *slog.Logger
}

// ServeHTTP takes one delivery.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	fact, err := w.read(rw, r)
	if refused, ok := errors.AsType[*refusal](err); ok {
		w.refuse(rw, r, refused)
		return
	}
	outcomes, err := w.Submit(r.Context(), fact)
	switch {
	case errors.Is(err, relay.ErrInvalidFact):
		w.refuse(rw, r, &refusal{InvalidData, err})
	case err != nil:
		// Not committed: the sender must come again.
		problem.Write(rw, r, problem.ErrUnavailable.Because(err))
	default:
		telemetry.Annotate(r.Context(), slog.String("delivery_type", fact.Type), slog.String("outcome", string(outcomes[0])))
		rw.WriteHeader(http.StatusNoContent)
	}
}

func (w *Webhook) read(rw http.ResponseWriter, r *http.Request) (relay.Fact, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, MaxBodySize))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return relay.Fact{}, refuse(TooLarge, nil)
		}
		return relay.Fact{}, refuse(Malformed, errors.New("the body ended early"))
	}
	sent := r.Header.Get(headerTimestamp)
	if !w.Secrets.Verify(sent, raw, r.Header.Get(headerSignature)) {
		return relay.Fact{}, refuse(BadSignature, nil)
	}
	timestamp, err := parseTimestamp(sent)
	if err != nil {
		return relay.Fact{}, refuse(Malformed, err)
	}
	switch age := w.Now().Sub(time.UnixMilli(timestamp)); {
	case age > w.MaxAge:
		return relay.Fact{}, refuse(TooOld, nil)
	case age < -maxAhead:
		return relay.Fact{}, refuse(FromFuture, nil)
	}
	d, err := parse(r.Header, raw)
	if err != nil {
		return relay.Fact{}, err
	}
	fact, err := factOf(d)
	if err != nil {
		return fact, refuse(InvalidData, err)
	}
	if fact.UserID != "" {
		fact.UserID = w.Namespace + fact.UserID
	}
	return fact, nil
}

func (w *Webhook) refuse(rw http.ResponseWriter, r *http.Request, refused *refusal) {
	w.Refused.Add(relay.SourceAuther, string(refused.reason))
	w.Log.WarnContext(r.Context(), "webhook refused", "source", relay.SourceAuther, "reason", string(refused.reason))
	problem.Write(rw, r, refused.reason.public().Because(refused))
}
