package failures

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	jwks2 "github.com/auth0/go-jwt-middleware/v2/jwks"
	validator2 "github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	jwxt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/shadowless/shadowless/pkg/authn"
)

// contender is one verifier at work.
type contender struct {
	verify func(ctx context.Context, token string) error
	close  func()
}

// party is an issuer as a contender is configured for it.
type party struct {
	issuer, jwksURL, keyDir string
	algorithms              []string
}

func (i *idp) party(keyDir string) party {
	return party{issuer: i.issuer(), jwksURL: i.jwksURL(), keyDir: keyDir, algorithms: []string{"ES256"}}
}

// opener builds a contender the way its documentation shows it.
type opener struct {
	name string
	open func(ctx context.Context, p party) (contender, error)
	// locks: it holds a mutex during a fetch. A bubble's time stands still
	// while somebody waits for a mutex, so its fetches must take none.
	locks bool
}

var openers = []opener{
	{"shadowless", openOurs, false}, {"keyfunc v3", openKeyfunc, false}, {"go-oidc v3", openGoOIDC, false},
	{"jwx v3", openJWX, false}, {"auth0 v2", openAuth0, true},
}

func openOurs(ctx context.Context, p party) (contender, error) {
	v, err := authn.New(ctx, authn.Config{Issuers: []authn.IssuerConfig{{
		Issuer: p.issuer, Profile: "shadowless", JWKSURLs: []string{p.jwksURL}, Algorithms: p.algorithms,
	}}}, authn.Options{
		Audiences: []string{audience}, SkipRevocation: true, KeyStore: authn.DirKeyStore(p.keyDir), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return contender{}, err
	}
	return contender{func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}, v.Close}, nil
}

func openKeyfunc(ctx context.Context, p party) (contender, error) {
	ctx, cancel := context.WithCancel(ctx)
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{p.jwksURL})
	if err != nil {
		cancel()
		return contender{}, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods(p.algorithms), jwt.WithIssuer(p.issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second))
	return contender{func(ctx context.Context, token string) error {
		_, err := parser.ParseWithClaims(token, &jwt.RegisteredClaims{}, keys.KeyfuncCtx(ctx))
		return err
	}, cancel}, nil
}

func openGoOIDC(ctx context.Context, p party) (contender, error) {
	ctx, cancel := context.WithCancel(ctx)
	v := oidc.NewVerifier(p.issuer, oidc.NewRemoteKeySet(ctx, p.jwksURL), &oidc.Config{ClientID: audience, SupportedSigningAlgs: p.algorithms})
	return contender{func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}, cancel}, nil
}

func openJWX(ctx context.Context, p party) (contender, error) {
	ctx, cancel := context.WithCancel(ctx)
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		cancel()
		return contender{}, err
	}
	end := func() {
		cancel()
		_ = cache.Shutdown(context.Background())
	}
	wait, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	if err := cache.Register(wait, p.jwksURL); err != nil {
		end()
		return contender{}, err
	}
	set, err := cache.CachedSet(p.jwksURL)
	if err != nil {
		end()
		return contender{}, err
	}
	return contender{func(_ context.Context, token string) error {
		_, err := jwxt.ParseString(token, jwxt.WithKeySet(set, jws.WithInferAlgorithmFromKey(true)), jwxt.WithIssuer(p.issuer), jwxt.WithAudience(audience),
			jwxt.WithRequiredClaim("exp"), jwxt.WithAcceptableSkew(30*time.Second))
		return err
	}, end}, nil
}

func openAuth0(_ context.Context, p party) (contender, error) {
	issuer, err := url.Parse(p.issuer)
	if err != nil {
		return contender{}, err
	}
	keys, err := url.Parse(p.jwksURL)
	if err != nil {
		return contender{}, err
	}
	provider := jwks2.NewCachingProvider(issuer, 5*time.Minute, jwks2.WithCustomJWKSURI(keys))
	// It takes one algorithm.
	alg := p.algorithms[0]
	for _, a := range p.algorithms {
		if a == "ES256" {
			alg = a
		}
	}
	v, err := validator2.New(provider.KeyFunc, validator2.SignatureAlgorithm(alg), p.issuer, []string{audience}, validator2.WithAllowedClockSkew(30*time.Second))
	if err != nil {
		return contender{}, err
	}
	return contender{func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}, func() {}}, nil
}
