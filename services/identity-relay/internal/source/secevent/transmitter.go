// Package secevent takes Security Event Tokens (RFC 8417) that transmitters push
// over HTTP (RFC 8935): CAEP and RISC events about users and sessions, signed.
package secevent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Transmitter is one who may push events.
type Transmitter struct { //nolint:recvcheck // only its loading changes one
	// Issuer is the `iss` of its tokens, byte for byte.
	Issuer string `yaml:"issuer"`
	// JWKSURLs are tried in order.
	JWKSURLs []string `yaml:"jwks_urls"`
	// Algorithms accepted of it; empty: RS256, PS256, ES256 and EdDSA.
	Algorithms []string `yaml:"algorithms"`
	// Audience must be in its tokens' `aud`.
	Audience string `yaml:"audience"`
	// UsersOf names the issuer of AUTHN_CONFIG_FILE about whose users it may
	// speak. Empty: it is that issuer itself.
	UsersOf string `yaml:"users_of"`
	// AuthorizationFile holds what the Authorization header must be, where the
	// transmitter was told to send one. It is read at every delivery.
	AuthorizationFile string `yaml:"authorization_file"`

	namespace string
	// subjects are the issuers that a subject of the format iss_sub may name.
	subjects []string
}

// LoadTransmitters reads the YAML file and reports every fault at once. Users
// are those of the issuers in issuers.
func LoadTransmitters(path, defaultAudience string, issuers authn.Config) ([]Transmitter, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read transmitters: %w", err)
	}
	var file struct {
		Transmitters []Transmitter `yaml:"transmitters"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var faults []error
	if len(file.Transmitters) == 0 {
		faults = append(faults, errors.New("transmitters: names none"))
	}
	seen := map[string]bool{}
	for i := range file.Transmitters {
		t := &file.Transmitters[i]
		if seen[t.Issuer] {
			faults = append(faults, fmt.Errorf("transmitter %s: listed twice", t.Issuer))
		}
		seen[t.Issuer] = true
		if t.Audience == "" {
			t.Audience = defaultAudience
		}
		if t.AuthorizationFile != "" {
			if _, err := os.Stat(t.AuthorizationFile); err != nil {
				faults = append(faults, fmt.Errorf("transmitter %s: authorization_file: %w", t.Issuer, err))
			}
		}
		if err := t.speaksOf(issuers); err != nil {
			faults = append(faults, fmt.Errorf("transmitter %s: %w", t.Issuer, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file.Transmitters, nil
}

// speaksOf finds whose users the transmitter's events are about.
func (t *Transmitter) speaksOf(issuers authn.Config) error {
	owner := t.UsersOf
	if owner == "" {
		owner = t.Issuer
	}
	for _, ic := range issuers.Issuers {
		if ic.Issuer == owner && ic.UsersOf != "" {
			owner = ic.UsersOf // a second `iss` of the same provider
			break
		}
	}
	t.subjects = []string{owner}
	known := false
	for _, ic := range issuers.Issuers {
		switch {
		case ic.Issuer == owner:
			known, t.namespace = true, ic.UserNamespace
		case ic.UsersOf == owner:
			t.subjects = append(t.subjects, ic.Issuer)
		}
	}
	if !known {
		return fmt.Errorf("users_of: %q is no issuer of AUTHN_CONFIG_FILE", owner)
	}
	if !slices.Contains(t.subjects, t.Issuer) {
		t.subjects = append(t.subjects, t.Issuer)
	}
	return nil
}

// verifierConfig trusts the transmitters for their events alone: their keys are
// apart from those of access tokens, so that neither can stand for the other.
func verifierConfig(transmitters []Transmitter) (authn.Config, []string) {
	var cfg authn.Config
	var audiences []string
	for i, t := range transmitters {
		cfg.Issuers = append(cfg.Issuers, authn.IssuerConfig{
			Issuer: t.Issuer, Profile: "oidc", JWKSURLs: t.JWKSURLs, Algorithms: t.Algorithms,
			// No user ID is made with it; the verifier wants issuers held apart.
			UserNamespace: "transmitter-" + strconv.Itoa(i) + ":",
		})
		audiences = append(audiences, t.Audience)
	}
	return cfg, audiences
}
