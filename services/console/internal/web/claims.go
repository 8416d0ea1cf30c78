package web

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/services/console/api"
)

// claim is one row of "what my token says".
type claim struct{ Name, Value, Meaning string }

// claimsOf explains a token in the words of the design.
func claimsOf(p *authn.Principal) []claim {
	times := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return stamp(t)
	}
	return []claim{
		{"sub", p.Subject(), "Who you are. Services store it as opaque text, byte for byte, and nothing else about you."},
		{"kind", p.Kind().String(), "A person or a service. It is signed; nobody guesses it from the ID."},
		{"iss", p.Issuer(), "Who made this token. Its keys are the only ones that may sign for it."},
		{"aud", strings.Join(p.Audiences(), ", "), "Which services accept it. Every other one refuses it."},
		{"client_id", p.ClientID(), "The application that you signed in to."},
		{"tenant_id", p.TenantID(), "The tenant you are acting in. Permissions and data belong to it."},
		{"scope", strings.Join(p.Scopes(), " "), "What the application may do in your name."},
		{"sid", p.SessionID(), "Your session at the issuer. Revoking it kills every token made in it."},
		{"jti", p.TokenID(), "This one token. Revoking it kills it and what was exchanged from it."},
		{"acr", p.ACR(), "How strongly you proved who you are."},
		{"auth_time", times(p.AuthTime()), "When you last did that. Signing out everywhere kills what is older."},
		{"orig_iat", times(p.OriginallyIssuedAt()), "When the first token of this chain was made. Exchanging a token does not make it younger."},
		{"iat", times(p.IssuedAt()), "When this token was made."},
		{"exp", times(p.ExpiresAt()), "When it ends, even if nobody revokes it."},
	}
}

// grant is what one entity type allows.
type grant struct {
	Type        string
	Permissions []permission
}

type permission struct {
	Name  string
	Asked bool
}

func grantsOf(p *authn.Principal) []grant {
	asked := p.ABACRequired()
	var out []grant
	for kind, names := range p.Permissions() {
		g := grant{Type: kind}
		for _, name := range names {
			g.Permissions = append(g.Permissions, permission{name, slices.Contains(asked[kind], name)})
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b grant) int { return strings.Compare(a.Type, b.Type) })
	return out
}

// describe is the principal as the JSON route and the page show it.
func describe(p *authn.Principal, list *authn.RevocationList) api.Me {
	return api.Me{
		UserID: p.UserID(), Kind: p.Kind().String(), Issuer: p.Issuer(), ClientID: p.ClientID(),
		Audiences: orEmpty(p.Audiences()), Scopes: orEmpty(p.Scopes()), TenantID: p.TenantID(), SessionID: p.SessionID(),
		TokenID: p.TokenID(), ACR: p.ACR(), Permissions: orNone(p.Permissions()), ABACRequired: orNone(p.ABACRequired()),
		IssuedAt: p.IssuedAt().UTC(), OriginallyIssuedAt: p.OriginallyIssuedAt().UTC(), ExpiresAt: p.ExpiresAt().UTC(),
		Revocations: revocationsOf(list),
	}
}

func revocationsOf(list *authn.RevocationList) api.Revocations {
	known := api.Revocations{Loaded: list.Loaded(), Entries: list.Len()}
	if age := list.Staleness(); age != time.Duration(math.MaxInt64) {
		ms := age.Milliseconds()
		known.StalenessMS = &ms
	}
	return known
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func orNone(grants map[string][]string) map[string][]string {
	if grants == nil {
		return map[string][]string{}
	}
	return grants
}
