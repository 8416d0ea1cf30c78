package secevent

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/source"
)

const (
	mediaType = "application/secevent+jwt"
	// MaxBodySize of a delivery, in bytes.
	MaxBodySize = 64 << 10
	// retryAfter is told to a transmitter whose keys could not be fetched.
	retryAfter = 10 * time.Second
)

// Receiver is the endpoint. It answers 202 only after the commit.
type Receiver struct {
	Transmitters []Transmitter
	HTTPClient   *http.Client
	// MaxAge of an event by its `iat`, which retries repeat.
	MaxAge      time.Duration
	Submit      func(ctx context.Context, facts ...relay.Fact) ([]relay.Outcome, error)
	Refused     *source.Refusals
	Now         func() time.Time
	Development bool
	Log         *slog.Logger

	verifier  *authn.Verifier
	audiences []string
}

// Closed refuses every event, where no transmitter is configured.
func Closed(refused *source.Refusals) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refused.Add(relay.SourceSecurityEvents, string(InvalidIssuer))
		(&refusal{code: InvalidIssuer, description: "The issuer is not accepted."}).write(w)
	})
}

// Open starts to fetch the transmitters' keys; it never waits for them.
func Open(ctx context.Context, r Receiver) (*Receiver, error) {
	var cfg authn.Config
	cfg, r.audiences = verifierConfig(r.Transmitters)
	verifier, err := authn.New(ctx, cfg, authn.Options{
		Audiences: r.audiences, SkipRevocation: true, HTTPClient: r.HTTPClient, Logger: r.Log, Now: r.Now, Development: r.Development,
	})
	if err != nil {
		return nil, fmt.Errorf("make the verifier of transmitters: %w", err)
	}
	r.verifier = verifier
	return &r, nil
}

// Close stops the fetching of keys.
func (r *Receiver) Close() { r.verifier.Close() }

// ServeHTTP takes one event.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	facts, err := r.read(w, req)
	var outcomes []relay.Outcome
	if err == nil {
		outcomes, err = r.Submit(req.Context(), facts...)
	}
	if errors.Is(err, relay.ErrInvalidFact) {
		err = refuse(InvalidRequest, "The event is not about a user or session that can be.", err)
	}
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		r.Refused.Add(relay.SourceSecurityEvents, string(refused.code))
		r.Log.WarnContext(req.Context(), "security event refused", "reason", string(refused.code), "cause", refused.Error())
		refused.write(w)
	case err != nil:
		// Not committed: the transmitter must come again.
		problem.Write(w, req, problem.ErrUnavailable.Because(err).After(retryAfter))
	default:
		telemetry.Annotate(req.Context(), slog.String("delivery_type", facts[0].Type), slog.String("outcome", string(outcomes[0])))
		w.WriteHeader(http.StatusAccepted)
	}
}

func (r *Receiver) read(w http.ResponseWriter, req *http.Request) ([]relay.Fact, error) {
	if media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || media != mediaType {
		return nil, refuse(InvalidRequest, "The Content-Type must be "+mediaType+".", nil)
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, req.Body, MaxBodySize))
	if err != nil {
		return nil, refuse(InvalidRequest, "The body is too large or ended early.", nil)
	}
	event, err := r.verifier.VerifySET(req.Context(), string(raw), r.audiences...)
	if err != nil {
		if refused := refusalOf(err); refused != nil {
			return nil, refused
		}
		return nil, err
	}
	at := slices.IndexFunc(r.Transmitters, func(t Transmitter) bool { return t.Issuer == event.Issuer() })
	if at < 0 {
		return nil, refuse(InvalidIssuer, "The issuer is not accepted.", nil)
	}
	t := r.Transmitters[at]
	if !slices.Contains(event.Audiences(), t.Audience) {
		return nil, refuse(InvalidAudience, "The event is for another audience.", nil)
	}
	if err := t.authorize(req); err != nil {
		return nil, err
	}
	if r.Now().Sub(event.IssuedAt()) > r.MaxAge {
		return nil, refuse(InvalidRequest, "The event is too old.", nil)
	}
	return t.facts(event)
}

// authorize compares the Authorization header with the one that was agreed on.
func (t Transmitter) authorize(req *http.Request) error {
	if t.AuthorizationFile == "" {
		return nil
	}
	want, err := os.ReadFile(t.AuthorizationFile)
	if err != nil {
		return fmt.Errorf("read a transmitter's authorization: %w", err)
	}
	wanted := strings.TrimSpace(string(want))
	if wanted == "" || subtle.ConstantTimeCompare([]byte(wanted), []byte(req.Header.Get("Authorization"))) != 1 {
		return refuse(AuthenticationFailed, "The transmitter is not authenticated.", nil)
	}
	return nil
}
