package transport

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/services/token-exchange/internal/signing"
)

// Paths of the endpoints, behind the issuer's own path.
const (
	TokenPath         = "/oauth/token"
	IntrospectionPath = "/oauth/introspect"
	RevocationPath    = "/oauth/revoke"
	APIKeyPath        = "/api/auth/api-key/exchange"
	JWKSPath          = "/.well-known/jwks.json"
	MetadataPath      = "/.well-known/oauth-authorization-server"
)

// KeySet gives the JWKS document; false before there is one.
type KeySet interface {
	KeySet() (signing.KeySet, bool)
}

// JWKS serves the public keys (RFC 7517).
func JWKS(keys KeySet) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set, ok := keys.KeySet()
		if !ok {
			problem.Write(w, r, problem.ErrUnavailable.After(time.Second).Because(signing.ErrNoKey))
			return
		}
		writeCached(w, r, set)
	})
}

func writeCached(w http.ResponseWriter, r *http.Request, set signing.KeySet) {
	h := w.Header()
	// No cache may serve it for longer, not even while this service is down (RFC
	// 9111, section 5.2.2.2): it could name keys that were ended.
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(set.MaxAge/time.Second))+", must-revalidate")
	h.Set("ETag", set.ETag)
	h.Set("X-Content-Type-Options", "nosniff")
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == set.ETag || tag == "*" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(set.Document)))
	_, _ = w.Write(set.Document) // the connection may be gone
}

// metadata is RFC 8414, section 2. response_types_supported is required there,
// and section 3.2 wants members without elements left out: there is no
// authorization endpoint, so there are no response types, and it is left out.
type metadata struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	JWKSURI       string   `json:"jwks_uri"`
	GrantTypes    []string `json:"grant_types_supported"`
	tokenAuth
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	introspectionAuth
	RevocationEndpoint string `json:"revocation_endpoint"`
	revocationAuth
}

// How a client proves itself is the same at each of the endpoints.
type (
	tokenAuth struct {
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	}
	introspectionAuth struct {
		Methods    []string `json:"introspection_endpoint_auth_methods_supported"`
		Algorithms []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	}
	revocationAuth struct {
		Methods    []string `json:"revocation_endpoint_auth_methods_supported"`
		Algorithms []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	}
)

// Endpoint is the URL of a path behind the issuer's.
func Endpoint(issuer, path string) string { return strings.TrimSuffix(issuer, "/") + path }

// Metadata serves the issuer's metadata (RFC 8414). assertions are the algorithms
// of client assertions; none: they are not accepted.
func Metadata(issuer string, grantTypes, assertions []string) (http.Handler, error) {
	at := func(path string) string { return Endpoint(issuer, path) }
	methods := []string{"client_secret_basic", "client_secret_post"}
	if len(assertions) > 0 {
		methods = append(methods, "private_key_jwt")
	}
	document, err := json.Marshal(metadata{
		Issuer: issuer, TokenEndpoint: at(TokenPath), JWKSURI: at(JWKSPath), GrantTypes: grantTypes,
		IntrospectionEndpoint: at(IntrospectionPath), RevocationEndpoint: at(RevocationPath),
		tokenAuth: tokenAuth{methods, assertions}, introspectionAuth: introspectionAuth{methods, assertions},
		revocationAuth: revocationAuth{methods, assertions},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the metadata: %w", err)
	}
	sum := sha256.Sum256(document)
	cached := signing.KeySet{Document: document, ETag: fmt.Sprintf(`"%x"`, sum[:16]), MaxAge: signing.MaxAge}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeCached(w, r, cached) }), nil
}

// Front stands before the routes. It answers other methods in the language of
// the endpoints that do not speak problem documents, and finds the metadata
// of an issuer with a path, whose well-known part comes before that path (RFC
// 8414, section 3.1). The issuer's path itself is taken away by whatever routes
// to it.
func Front(issuer string, next http.Handler) (http.Handler, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("read the issuer: %w", err)
	}
	withPath := MetadataPath + strings.TrimSuffix(u.Path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost && slices.Contains([]string{TokenPath, IntrospectionPath, RevocationPath}, r.URL.Path):
			refuseMethod(w, r)
		case r.URL.Path == APIKeyPath && r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
		case withPath != MetadataPath && r.URL.Path == MetadataPath:
			problem.Write(w, r, problem.ErrNotFound)
		case withPath != MetadataPath && r.URL.Path == withPath:
			inner := r.Clone(r.Context())
			inner.URL.Path, inner.URL.RawPath = MetadataPath, ""
			next.ServeHTTP(w, inner)
		default:
			next.ServeHTTP(w, r)
		}
	}), nil
}
