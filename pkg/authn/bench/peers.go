package bench

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	jwks2 "github.com/auth0/go-jwt-middleware/v2/jwks"
	validator2 "github.com/auth0/go-jwt-middleware/v2/validator"
	jwks3 "github.com/auth0/go-jwt-middleware/v3/jwks"
	validator3 "github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxt "github.com/lestrrat-go/jwx/v3/jwt"
)

// extra are the claims beside the registered ones, which every contender decodes.
type extra struct {
	SID          string              `json:"sid"`
	Scope        string              `json:"scope"`
	AZP          string              `json:"azp"`
	Permissions  map[string][]string `json:"permissions"`
	ABACRequired map[string][]string `json:"abac_required"`
}

// Validate lets extra be auth0's custom claims.
func (*extra) Validate(context.Context) error { return nil }

func newKeyfunc(ctx context.Context, i *Issuer) (Verify, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{i.JWKSURL()})
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("keyfunc: %w", err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{i.Alg}), jwt.WithIssuer(i.Name()), jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second))
	return func(ctx context.Context, token string) error {
		var claims struct {
			jwt.RegisteredClaims
			extra
		}
		_, err := parser.ParseWithClaims(token, &claims, keys.KeyfuncCtx(ctx))
		return err
	}, cancel, nil
}

func newGoOIDC(ctx context.Context, i *Issuer) (Verify, func(), error) {
	v := oidc.NewVerifier(i.Name(), oidc.NewRemoteKeySet(ctx, i.JWKSURL()),
		&oidc.Config{ClientID: Audience, SupportedSigningAlgs: []string{i.Alg}})
	return func(ctx context.Context, token string) error {
		t, err := v.Verify(ctx, token)
		if err != nil {
			return err
		}
		var claims extra
		return t.Claims(&claims)
	}, func() {}, nil
}

func (i *Issuer) urls() (issuer, keys *url.URL, err error) {
	if issuer, err = url.Parse(i.Name()); err != nil {
		return nil, nil, err
	}
	keys, err = url.Parse(i.JWKSURL())
	return issuer, keys, err
}

func newAuth0V2(_ context.Context, i *Issuer) (Verify, func(), error) {
	issuer, keys, err := i.urls()
	if err != nil {
		return nil, nil, err
	}
	provider := jwks2.NewCachingProvider(issuer, time.Hour, jwks2.WithCustomJWKSURI(keys))
	v, err := validator2.New(provider.KeyFunc, validator2.SignatureAlgorithm(i.Alg), i.Name(), []string{Audience},
		validator2.WithAllowedClockSkew(30*time.Second),
		validator2.WithCustomClaims(func() validator2.CustomClaims { return &extra{} }))
	if err != nil {
		return nil, nil, fmt.Errorf("auth0 v2: %w", err)
	}
	return func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}, func() {}, nil
}

func newAuth0V3(_ context.Context, i *Issuer) (Verify, func(), error) {
	issuer, keys, err := i.urls()
	if err != nil {
		return nil, nil, err
	}
	provider, err := jwks3.NewCachingProvider(jwks3.WithIssuerURL(issuer), jwks3.WithCustomJWKSURI(keys), jwks3.WithCacheTTL(time.Hour))
	if err != nil {
		return nil, nil, fmt.Errorf("auth0 v3: %w", err)
	}
	v, err := validator3.New(
		validator3.WithKeyFunc(provider.KeyFunc), validator3.WithAlgorithm(validator3.SignatureAlgorithm(i.Alg)),
		validator3.WithIssuer(i.Name()), validator3.WithAudience(Audience), validator3.WithAllowedClockSkew(30*time.Second),
		validator3.WithCustomClaims(func() *extra { return &extra{} }))
	if err != nil {
		return nil, nil, fmt.Errorf("auth0 v3: %w", err)
	}
	return func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}, func() {}, nil
}

func newJWX(_ context.Context, i *Issuer) (Verify, func(), error) {
	raw, err := i.JWKS()
	if err != nil {
		return nil, nil, err
	}
	set, err := jwk.Parse(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("jwx: %w", err)
	}
	return func(_ context.Context, token string) error {
		t, err := jwxt.ParseString(token, jwxt.WithKeySet(set), jwxt.WithIssuer(i.Name()), jwxt.WithAudience(Audience),
			jwxt.WithRequiredClaim("exp"), jwxt.WithAcceptableSkew(30*time.Second))
		if err != nil {
			return err
		}
		var permissions, abac map[string]any
		if err := t.Get("permissions", &permissions); err != nil {
			return err
		}
		return t.Get("abac_required", &abac)
	}, func() {}, nil
}
