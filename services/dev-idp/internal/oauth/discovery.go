package oauth

import (
	"net/http"

	"github.com/shadowless/shadowless/services/dev-idp/internal/browser"
	"github.com/shadowless/shadowless/services/dev-idp/internal/limit"
	"github.com/shadowless/shadowless/services/dev-idp/internal/reply"
)

type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	ACRValues             []string `json:"acr_values_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ClientAuthentication  []string `json:"token_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Claims                []string `json:"claims_supported"`
}

// discovery lives under /api/auth alone; its issuer is the bare base URL.
func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	routes := p.Base + "/api/auth/oauth2"
	m := metadata{
		Issuer:                p.Base,
		AuthorizationEndpoint: routes + "/authorize",
		TokenEndpoint:         routes + "/token",
		UserinfoEndpoint:      routes + "/userinfo",
		JWKSURI:               p.Base + "/api/auth/jwks",
		Scopes:                scopes,
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		GrantTypes:            []string{"authorization_code", "refresh_token"},
		ACRValues:             []string{acr},
		SubjectTypes:          []string{"public"},
		IDTokenAlgorithms:     []string{p.Mode.Algorithm()},
		ClientAuthentication:  []string{"client_secret_basic", "client_secret_post", "none"},
		ChallengeMethods:      []string{"S256"},
		Claims:                []string{"sub", "iss", "aud", "exp", "nbf", "iat", "jti", "email", "email_verified", "name"},
	}
	if p.Mode.Observed() {
		// The real server names algorithms that it never uses, "none" among them.
		m.RegistrationEndpoint = routes + "/register"
		m.ACRValues = []string{acr, "urn:mace:incommon:iap:bronze"}
		m.IDTokenAlgorithms = []string{"RS256", "EdDSA", "none"}
	}
	reply.JSON(w, http.StatusOK, m)
}

// keySet has no cache headers, as at the original.
func (p *Provider) keySet(w http.ResponseWriter, r *http.Request) {
	if wait, ok := p.KeySetLimit.Allow(browser.Client(r).Address); !ok {
		limit.Refuse(w, wait)
		return
	}
	set, err := p.Keys.Published(r.Context())
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the key set cannot be read", "error", err)
		reply.Empty(w, http.StatusInternalServerError)
		return
	}
	reply.JSON(w, http.StatusOK, set)
}

// register refuses: clients come from the settings alone.
func (p *Provider) register(w http.ResponseWriter, _ *http.Request) {
	reply.OAuth(w, http.StatusUnauthorized, "invalid_token", "Authentication required for client registration")
}
