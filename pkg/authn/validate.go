package authn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Validate returns every fault of the configuration, joined, or nil.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Issuers) == 0 {
		fault("issuers: at least one is required")
	}
	byIssuer := make(map[string]IssuerConfig, len(c.Issuers))
	for i, ic := range c.Issuers {
		at := fmt.Sprintf("issuers[%d]", i)
		if ic.Issuer != "" {
			at = fmt.Sprintf("issuers[%d] (%s)", i, ic.Issuer)
		}
		for _, err := range ic.faults() {
			fault("%s: %w", at, err)
		}
		if _, dup := byIssuer[ic.Issuer]; dup && ic.Issuer != "" {
			fault("%s: issuer: configured twice", at)
		}
		byIssuer[ic.Issuer] = ic
	}
	faults = append(faults, c.namespaceFaults(byIssuer)...)
	for local, remote := range c.EntityTypes {
		if local == "" || remote == "" {
			fault("entity_types: %q: %q: neither side may be empty", local, remote)
		}
	}
	return errors.Join(faults...)
}

// namespaceFaults holds user IDs of different issuers apart: two issuers may
// both know a user "7".
func (c Config) namespaceFaults(byIssuer map[string]IssuerConfig) []error {
	var faults []error
	var owners []IssuerConfig
	for _, ic := range c.Issuers {
		if ic.UsersOf == "" {
			owners = append(owners, ic)
			continue
		}
		owner, known := byIssuer[ic.UsersOf]
		switch {
		case ic.UserNamespace != "":
			faults = append(faults, fmt.Errorf("issuer %s: user_namespace: not together with users_of", ic.Issuer))
		case !known || ic.UsersOf == ic.Issuer:
			faults = append(faults, fmt.Errorf("issuer %s: users_of: %q is no other configured issuer", ic.Issuer, ic.UsersOf))
		case owner.UsersOf != "":
			faults = append(faults, fmt.Errorf("issuer %s: users_of: %q itself has users_of", ic.Issuer, ic.UsersOf))
		}
	}
	if len(owners) < 2 {
		return faults
	}
	for i, a := range owners {
		if a.UserNamespace == "" {
			faults = append(faults, fmt.Errorf("issuer %s: user_namespace: required, because %d issuers issue users", a.Issuer, len(owners)))
			continue
		}
		for j, b := range owners {
			if i != j && b.UserNamespace != "" && strings.HasPrefix(b.UserNamespace, a.UserNamespace) {
				faults = append(faults, fmt.Errorf("issuer %s: user_namespace: %q begins with %q of %s", b.Issuer, b.UserNamespace, a.UserNamespace, a.Issuer))
			}
		}
	}
	return faults
}

func (ic IssuerConfig) faults() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if ic.Issuer == "" {
		fault("issuer: required")
	}
	if _, ok := profiles[ic.Profile]; !ok {
		fault("profile: %q is none of %s", ic.Profile, strings.Join(Profiles(), ", "))
	}
	if len(ic.JWKSURLs) == 0 {
		fault("jwks_urls: at least one is required")
	}
	faults = append(faults, jwksURLFaults(ic.JWKSURLs)...)
	for _, alg := range ic.Algorithms {
		if signingMethod(alg) == nil {
			fault("algorithms: %q is none of %s", alg, strings.Join(supportedAlgorithms, ", "))
		}
	}
	for _, q := range ic.Quirks {
		if !slices.Contains(Quirks(), q) {
			fault("quirks: %q is none of %s", q, strings.Join(Quirks(), ", "))
		}
	}
	for claim, value := range ic.ServiceMarks {
		if claim == "" || value == "" {
			fault("service_marks: neither claim nor value may be empty")
		}
	}
	if ic.UserEvidence != "" && !slices.Contains(userEvidences, ic.UserEvidence) {
		fault("user_evidence: %q is none of %s", ic.UserEvidence, strings.Join(userEvidences, ", "))
	}
	if hasReservedPrefix(ic.UserNamespace) {
		fault("user_namespace: %q begins with a prefix reserved for services", ic.UserNamespace)
	}
	if ic.UserNamespace != "" && !validUserID(ic.UserNamespace) {
		fault("user_namespace: must be valid UTF-8 without control characters")
	}
	if ic.Keys.Refresh != 0 && ic.Keys.Refresh < time.Second {
		fault("keys.refresh: must be at least 1s")
	}
	if ic.Keys.RemovedTrust != nil && *ic.Keys.RemovedTrust < 0 {
		fault("keys.removed_trust: must not be negative")
	}
	if ic.Keys.MaxAge < 0 {
		fault("keys.max_age: must not be negative")
	}
	return append(faults, ic.Claims.faults()...)
}

func jwksURLFaults(urls []string) []error {
	var faults []error
	for i, raw := range urls {
		u, err := url.Parse(raw)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
			faults = append(faults, fmt.Errorf("jwks_urls[%d]: not an http(s) URL", i))
		case u.User != nil: // not quoted: it would put a password into the log
			faults = append(faults, fmt.Errorf("jwks_urls[%d]: must not hold credentials", i))
		}
	}
	return faults
}

func (n ClaimNames) faults() []error {
	var faults []error
	for field, names := range n.byField() {
		for _, name := range names {
			if _, err := splitClaimName(name); err != nil {
				faults = append(faults, fmt.Errorf("claims.%s: %w", field, err))
			}
		}
	}
	return faults
}

// insecureURLs returns the JWKS URLs through which a neighbor on the network
// could hand us keys of his own.
func (c Config) insecureURLs() []string {
	var bad []string
	for _, ic := range c.Issuers {
		for _, raw := range ic.JWKSURLs {
			if u, err := url.Parse(raw); err == nil && u.Scheme != "https" && !loopback(u.Hostname()) {
				bad = append(bad, raw)
			}
		}
	}
	return bad
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
