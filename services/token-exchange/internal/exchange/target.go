package exchange

import (
	"slices"

	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/oauth"
	"github.com/shadowless/shadowless/services/token-exchange/internal/policy"
)

const maxTargets = 8

// target decides `aud`: what is asked for by audience or resource (RFC 8707),
// else the client's default; never empty (RFC 9068, section 3), never beyond the
// client's registration.
func (s *Service) target(client *clients.Client, req *Request) ([]string, error) {
	names := slices.Clone(req.Audiences)
	for _, resource := range req.Resources {
		if !policy.ValidResource(resource) {
			return nil, oauth.InvalidTarget("resource_malformed", "A resource must be an absolute URI without fragment.")
		}
		name, ok := s.Policy.AudienceOf(resource)
		if !ok {
			return nil, oauth.InvalidTarget("resource_unknown", "The requested audience or resource is not available to this client.")
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		if name := client.Default(); name != "" {
			names = []string{name}
		}
	}
	var target []string
	for _, name := range names {
		if _, allowed := client.Audiences[name]; !allowed {
			return nil, oauth.InvalidTarget("audience_not_allowed", "The requested audience or resource is not available to this client.")
		}
		if !slices.Contains(target, name) {
			target = append(target, name)
		}
	}
	switch {
	case len(target) == 0:
		return nil, oauth.InvalidTarget("no_audience", "The parameter audience is required for this client.")
	case len(target) > maxTargets:
		return nil, oauth.InvalidTarget("too_many_audiences", "Too many audiences are requested.")
	}
	return target, nil
}
