package policy

import (
	"net/url"
	"slices"
)

// WorkloadIssuer is a party whose tokens prove clients (RFC 7523), such as the
// API server of a Kubernetes cluster. It is no issuer of users.
type WorkloadIssuer struct {
	// Issuer is compared with `iss` byte for byte.
	Issuer string `yaml:"issuer"`
	// JWKSURLs of its keys, tried in order.
	JWKSURLs []string `yaml:"jwks_urls"`
	// Algorithms accepted; none: DefaultWorkloadAlgorithms.
	Algorithms []string `yaml:"algorithms"`
	// TokenFile holds a bearer token with which the keys are fetched; read again
	// each time. A cluster shows its keys to its own service accounts alone.
	TokenFile string `yaml:"token_file"`
}

// DefaultWorkloadAlgorithms are what Kubernetes signs with.
var DefaultWorkloadAlgorithms = []string{"RS256", "ES256"}

// WorkloadAlgorithms lists every algorithm of a client assertion, sorted.
func (p Policy) WorkloadAlgorithms() []string {
	var all []string
	for _, w := range p.WorkloadIssuers {
		all = append(all, w.algorithms()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (w WorkloadIssuer) algorithms() []string {
	if len(w.Algorithms) == 0 {
		return DefaultWorkloadAlgorithms
	}
	return w.Algorithms
}

func (p Policy) workloadFaults(fault func(format string, args ...any)) {
	seen := map[string]bool{}
	for i, w := range p.WorkloadIssuers {
		u, err := url.Parse(w.Issuer)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Fragment != "" {
			fault("workload_issuers[%d]: issuer must be a URL without fragment", i)
		}
		if seen[w.Issuer] {
			fault("workload_issuers[%d]: the issuer stands there twice", i)
		}
		seen[w.Issuer] = true
		if len(w.JWKSURLs) == 0 {
			fault("workload_issuers[%d]: jwks_urls: at least one is required", i)
		}
	}
}
