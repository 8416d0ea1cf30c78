package exchange

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/telemetry"
	"github.com/shadowless/shadowless/services/token-exchange/internal/audit"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

// MaxLife of a minted token.
const MaxLife = 15 * time.Minute

// Grant is one way to ask for a token. It says whom the token is about and
// under which rule scopes are given; everything else is shared.
type Grant interface {
	// Type is the value of grant_type.
	Type() string
	// Subject checks the grant's own parameters and tokens. It fills attempt
	// with what the audit should know as soon as it is known.
	Subject(ctx context.Context, client *clients.Client, req *Request, attempt *audit.Attempt) (*Basis, error)
}

// Authenticator proves clients.
type Authenticator interface {
	Authenticate(ctx context.Context, c clients.Credential) (clients.Proven, error)
}

// Signer makes a JWT from claims.
type Signer interface {
	Sign(typ string, claims any) (string, error)
}

// Recorder takes audit records. audit.ErrDropped is no reason to refuse: the
// request's log line holds the record. Any other error is.
type Recorder interface {
	Record(ctx context.Context, a audit.Attempt) error
}

// Upstream mints in this service's place, in broker mode.
type Upstream interface {
	// Mints says whether tokens for the audiences come from upstream.
	Mints(target []string) bool
	// Mint returns the upstream's token for a client. It has the scopes that
	// were asked for at least, or the error is an *oauth.Error.
	Mint(ctx context.Context, clientID string, target, scopes []string) (*Issued, error)
}

// Options of New. All but Upstream are required.
type Options struct {
	Issuer        string
	Policy        policy.Policy
	Authenticator Authenticator
	Signer        Signer
	Recorder      Recorder
	Grants        []Grant
	Now           func() time.Time
	Upstream      Upstream // nil: this service mints everything
}

// Service answers requests for tokens.
type Service struct {
	Options
	grants map[string]Grant
}

// New makes a service of the grants.
func New(o Options) *Service {
	s := &Service{Options: o, grants: map[string]Grant{}}
	for _, g := range o.Grants {
		s.grants[g.Type()] = g
	}
	return s
}

// GrantTypes lists what is supported, in the order of Options.Grants.
func (s *Service) GrantTypes() []string {
	list := make([]string, len(s.Grants))
	for i, g := range s.Grants {
		list[i] = g.Type()
	}
	return list
}

// Exchange answers one request. The error is an *oauth.Error, or something
// that is a server error.
func (s *Service) Exchange(ctx context.Context, req *Request) (issued *Issued, err error) {
	attempt := s.attempt(req)
	defer func() { issued, err = s.record(ctx, attempt, issued, err) }()
	if req.GrantType == "" {
		return nil, oauth.InvalidRequest("no_grant_type", "The parameter grant_type is missing.")
	}
	grant, ok := s.grants[req.GrantType]
	if !ok {
		attempt.GrantType = "unsupported"
		return nil, oauth.UnsupportedGrantType()
	}
	client, err := s.authenticate(ctx, req.Credential, attempt)
	if err != nil {
		return nil, err
	}
	asked(attempt, client, req)
	if !client.MayUse(grant.Type()) {
		return nil, oauth.UnauthorizedClient("grant_not_allowed", "This client may not use this grant type.")
	}
	basis, err := grant.Subject(ctx, client, req, attempt)
	if err != nil {
		return nil, err
	}
	target, err := s.target(client, req)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, client, basis, target, req.Scopes, attempt)
}

// unregistered stands in the audit for what was asked for and is not in the
// client's registration: it may be anything, a secret in the wrong field too.
const unregistered = "(unregistered)"

// asked records which of its own audiences and scopes a proven client asked for.
func asked(attempt *audit.Attempt, client *clients.Client, req *Request) {
	for _, name := range req.Audiences[:min(len(req.Audiences), maxTargets)] {
		if _, known := client.Audiences[name]; !known {
			name = unregistered
		}
		attempt.Audience = append(attempt.Audience, name)
	}
	var scopes []string
	for _, s := range req.Scopes {
		if !client.Registered(s) {
			s = unregistered
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	attempt.Scope = strings.Join(scopes, " ")
}

// issue gives scopes and mints: the phases behind every way to ask.
func (s *Service) issue(ctx context.Context, client *clients.Client, basis *Basis, target, wanted []string, attempt *audit.Attempt) (*Issued, error) {
	attempt.Audience = target
	scopes, err := grantScopes(client, basis, target, wanted)
	if err != nil {
		return nil, err
	}
	if s.Upstream != nil && s.Upstream.Mints(target) {
		// Who asks for no scope asks for whatever the upstream gives: its token
		// cannot be made to say anything else.
		issued, err := s.Upstream.Mint(ctx, client.ID, target, wanted)
		if err == nil {
			attempt.TokenID = issued.TokenID
		}
		return issued, err
	}
	return s.mint(client, basis, target, scopes, attempt)
}

func (s *Service) attempt(req *Request) *audit.Attempt {
	return &audit.Attempt{
		At: s.Now(), GrantType: req.GrantType, Address: req.Address,
		SubjectTokenHash: audit.Hash(req.SubjectToken),
	}
}

func (s *Service) authenticate(ctx context.Context, c clients.Credential, attempt *audit.Attempt) (*clients.Client, error) {
	proven, err := s.Authenticator.Authenticate(ctx, c)
	var refused *clients.RefusedError
	var limited *clients.LimitedError
	switch {
	case errors.As(err, &limited):
		attempt.ClientID, attempt.KeyID, attempt.Limited = limited.ClientID, limited.KeyID, true
		return nil, oauth.TooManyRequests(limited.Reason, limited.RetryAfter)
	case errors.As(err, &refused):
		attempt.ClientID, attempt.KeyID = refused.ClientID, refused.KeyID
		return nil, oauth.InvalidClient(refused.Reason)
	case err != nil:
		return nil, oauth.Unavailable("clients_unavailable", err)
	}
	attempt.ClientID, attempt.KeyID = proven.Client.ID, proven.KeyID
	return proven.Client, nil
}

// Endpoints beside the token endpoint, as the audit names attempts at them.
const (
	AtIntrospection = "introspection"
	AtRevocation    = "revocation"
)

// Caller proves who asks at an endpoint beside the token endpoint. Only a refusal
// is recorded: no token comes of the rest. The error is an *oauth.Error.
func (s *Service) Caller(ctx context.Context, endpoint string, c clients.Credential) (*clients.Client, error) {
	attempt := s.attempt(&Request{GrantType: endpoint, Credential: c})
	client, err := s.authenticate(ctx, c, attempt)
	if err != nil {
		_, _ = s.record(ctx, attempt, nil, err) // it is refused already
	}
	return client, err
}

// limits of what is recorded of a request that nobody has proven yet.
const (
	maxRecorded      = 256
	maxRecordedNames = 16
)

// record returns what is to be answered: a token whose record is lost where
// records must not be is not handed out.
func (s *Service) record(ctx context.Context, a *audit.Attempt, issued *Issued, err error) (*Issued, error) {
	a.Granted = err == nil
	if err != nil {
		a.Reason = oauth.From(err).Reason
	} else {
		a.TokenHash, a.Scope = audit.Hash(issued.AccessToken), issued.Scope
	}
	a.Scope = clean(a.Scope)
	a.Audience = a.Audience[:min(len(a.Audience), maxRecordedNames)]
	names := make([]string, len(a.Audience))
	for i, name := range a.Audience {
		names[i] = clean(name)
	}
	a.Audience = names
	if _, known := s.grants[a.GrantType]; !known && !slices.Contains([]string{GrantAPIKey, AtIntrospection, AtRevocation}, a.GrantType) {
		a.GrantType = "unsupported"
	}
	attrs := a.LogAttrs()
	recorded := s.Recorder.Record(ctx, *a)
	if recorded != nil {
		attrs = append(attrs, slog.Bool("audit_dropped", true))
	}
	telemetry.Annotate(ctx, attrs...)
	if recorded != nil && err == nil && !errors.Is(recorded, audit.ErrDropped) {
		return nil, oauth.Unavailable("audit_unavailable", recorded)
	}
	return issued, err
}

// clean makes what a stranger sent fit to be stored: bounded, valid, printable.
func clean(text string) string {
	text = text[:min(len(text), maxRecorded)]
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, text)
}

// Refuse records an attempt that could not even be parsed.
func (s *Service) Refuse(ctx context.Context, req *Request, err error) {
	_, _ = s.record(ctx, s.attempt(req), nil, err) // it is refused already
}
