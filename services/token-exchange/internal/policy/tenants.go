package policy

// Tenants says how a user belongs to more tenants than the one that the token
// names: by a relation to an entity of this type, whose ID is the tenant's, as
// the identity provider reports grants. The zero value knows of none.
type Tenants struct {
	// EntityType of tenants at the identity provider.
	EntityType string `yaml:"entity_type"`
	// Relations → what they add in that tenant. A relation that is not listed
	// makes nobody a member.
	Relations map[string]Grants `yaml:"relations"`
}

// Bounds of a minted token, in bytes. Whatever carries tokens in a header caps all
// headers together at 8 to 64 KiB; verifiers here refuse more than the maximum.
const (
	DefaultMaxTokenBytes = 4 << 10
	minTokenBytes        = 1 << 10
	maxTokenBytes        = 16 << 10
)

func (p Policy) tokenFaults(fault func(format string, args ...any)) {
	if p.MaxTokenBytes < minTokenBytes || p.MaxTokenBytes > maxTokenBytes {
		fault("max_token_bytes must be between %d and %d", minTokenBytes, maxTokenBytes)
	}
	if t := p.Users.Tenants; (t.EntityType == "") != (len(t.Relations) == 0) {
		fault("users.tenants: entity_type and relations go together")
	}
}
