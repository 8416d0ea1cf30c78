// Package policy is what the operator of a mesh decides about audiences and
// users: one YAML file, checked whole at start.
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Policy is the file's content.
type Policy struct {
	// Audiences by name.
	Audiences map[string]Audience `yaml:"audiences"`
	// Users says what a user may do where the user's token does not.
	Users Users `yaml:"users"`
	// ScopeAuthorities are identity providers whose `scope` claims speak of
	// this mesh's scopes and so bound what is delegated. Others' scopes
	// ("openid") are ignored.
	ScopeAuthorities []string `yaml:"scope_authorities"`
	// UntypedAccessTokens are issuers whose access tokens lack the header
	// `typ: at+jwt` and are told from id_tokens by another rule of their profile.
	UntypedAccessTokens []string `yaml:"untyped_access_tokens"`
	// MaxTokenBytes bounds a minted token; what would be larger is refused.
	MaxTokenBytes int `yaml:"max_token_bytes"`
	// WorkloadIssuers prove clients by their own tokens.
	WorkloadIssuers []WorkloadIssuer `yaml:"workload_issuers"`
	// Limits, Keys and Plans bound clients and their keys.
	Limits Limits          `yaml:"limits"`
	Keys   KeyRules        `yaml:"keys"`
	Plans  map[string]Plan `yaml:"plans"`
}

// Audience is one service that tokens are issued for.
type Audience struct {
	// EntityTypes whose permissions its tokens carry.
	EntityTypes []string `yaml:"entity_types"`
	// Resource is the URI by which RFC 8707's `resource` may name it.
	Resource string `yaml:"resource"`
}

// Users is the fallback for tokens that carry no permissions.
type Users struct {
	// TenantID of users whose tokens name none.
	TenantID string `yaml:"tenant_id"`
	// Default is what every user may do. What its abac_required lists is asked
	// for wherever it was granted: a role or a relation cannot take that away.
	Default Grants `yaml:"default"`
	// Roles of the user's token → what they add.
	Roles map[string]Grants `yaml:"roles"`
	// Tenants that a user can be switched to at a front door.
	Tenants Tenants `yaml:"tenants"`
	// Relations: entity type → relation → permissions, for grants that the
	// identity provider reported as events.
	Relations map[string]map[string][]string `yaml:"relations"`
}

// Grants are permissions by entity type.
type Grants struct {
	Permissions  map[string][]string `yaml:"permissions"`
	ABACRequired map[string][]string `yaml:"abac_required"`
}

// Load reads and checks the file. Unknown keys are refused; every fault is named.
func Load(path string) (Policy, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	p, err := Parse(raw)
	if err != nil {
		return Policy{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Parse reads and checks a policy.
func Parse(raw []byte) (Policy, error) {
	p := Policy{MaxTokenBytes: DefaultMaxTokenBytes, Limits: defaultLimits, Keys: defaultKeyRules}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	if faults := p.faults(); len(faults) > 0 {
		return Policy{}, fmt.Errorf("policy: %w", errors.Join(faults...))
	}
	return p, nil
}

func (p Policy) faults() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(p.Audiences) == 0 {
		fault("audiences: at least one is required")
	}
	resources := map[string]bool{}
	for name, a := range p.Audiences {
		if name == "" {
			fault("audiences: a name is empty")
		}
		if a.Resource == "" {
			continue
		}
		if !ValidResource(a.Resource) {
			fault("audiences.%s.resource: %q must be an absolute URI without fragment", name, a.Resource)
		}
		if resources[a.Resource] {
			fault("audiences.%s.resource: %q names another audience too", name, a.Resource)
		}
		resources[a.Resource] = true
	}
	check := func(at string, g Grants) {
		for key, names := range g.ABACRequired {
			for _, n := range names {
				if !slices.Contains(g.Permissions[key], n) {
					fault("%s.abac_required: %s on %s is not among its permissions", at, n, key)
				}
			}
		}
	}
	check("users.default", p.Users.Default)
	for role, g := range p.Users.Roles {
		check("users.roles."+role, g)
	}
	for relation, g := range p.Users.Tenants.Relations {
		check("users.tenants.relations."+relation, g)
	}
	p.tokenFaults(fault)
	p.workloadFaults(fault)
	return append(faults, p.planFaults()...)
}

// ValidResource reports whether uri may be a resource (RFC 8707, section 2).
func ValidResource(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && u.Fragment == "" && !strings.Contains(uri, "#")
}

// AudienceOf finds the audience that a resource names.
func (p Policy) AudienceOf(resource string) (string, bool) {
	for name, a := range p.Audiences {
		if a.Resource != "" && a.Resource == resource {
			return name, true
		}
	}
	return "", false
}

// EntityTypes of all the audiences.
func (p Policy) EntityTypes(audiences []string) map[string]bool {
	types := map[string]bool{}
	for _, name := range audiences {
		for _, t := range p.Audiences[name].EntityTypes {
			types[t] = true
		}
	}
	return types
}
