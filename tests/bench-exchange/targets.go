package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// target is one thing that is measured.
type target struct {
	kind      string
	algorithm string
	url       string
	key       string
	process   *measure.Process
}

func (t *target) name() string { return t.algorithm + ", " + t.kind }

// Kinds of targets, in the order of the table.
const (
	floorMemory = "floor: key from memory"
	floorSelect = "floor: one SELECT"
	floorServer = "one SELECT, in the services' server"
	theService  = "token-exchange, audit on"
)

func (b *bench) targets(ctx context.Context, o options) ([]*target, error) {
	floors, at, inside, err := b.startFloors(ctx, o)
	if err != nil {
		return nil, err
	}
	var out []*target
	for i, algorithm := range o.algorithms {
		out = append(out,
			&target{floorMemory, algorithm, at + "/memory/" + algorithm, b.key, floors},
			&target{floorSelect, algorithm, at + "/select/" + algorithm, b.key, floors},
			&target{floorServer, algorithm, inside + "/select/" + algorithm, b.key, floors},
		)
		profile := ""
		if i == 0 {
			profile = o.profile
		}
		service, err := b.startService(ctx, algorithm, profile)
		if err != nil {
			return nil, err
		}
		out = append(out, service)
	}
	return out, nil
}

func (b *bench) startFloors(ctx context.Context, o options) (p *measure.Process, at, inside string, err error) {
	url, migrator, err := b.database(ctx, "floor")
	if err != nil {
		return nil, "", "", err
	}
	if err := b.floorTable(ctx, migrator); err != nil {
		return nil, "", "", err
	}
	if at, err = freeAddress(); err != nil {
		return nil, "", "", err
	}
	if inside, err = freeAddress(); err != nil {
		return nil, "", "", err
	}
	p, err = b.startProcess(ctx, floorMode, "http://"+inside+"/readyz",
		"LISTEN_ADDRESS="+at, "BENCH_FLOOR_SERVER="+inside, "BENCH_FLOOR_DATABASE_URL="+url, "BENCH_FLOOR_KEY="+b.key,
		"BENCH_FLOOR_ALGORITHMS="+strings.Join(o.algorithms, ","))
	return p, "http://" + at, "http://" + inside, err
}

const policy = `
audiences:
  orders: {entity_types: ["client_shop:order"]}
  billing: {entity_types: ["client_shop:invoice"]}
limits:
  key: {requests: 1000000000, per: 1m}
  refused: {requests: 1000000000, per: 1m}
`

// startService runs the real one with everything that it has by default.
func (b *bench) startService(ctx context.Context, algorithm, profile string) (*target, error) {
	url, migrator, err := b.database(ctx, "exchange_"+strings.ToLower(algorithm))
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	issuer := "http://" + address
	trust, err := b.trust(issuer, algorithm)
	if err != nil {
		return nil, err
	}
	keyFile, err := b.file("client.key", b.key+"\n")
	if err != nil {
		return nil, err
	}
	clients, err := yaml.Marshal(map[string]any{"clients": []any{map[string]any{
		"id": benchClient, "audiences": map[string]any{"billing": map[string]any{"scopes": strings.Fields(benchScopes)}},
		"permissions": benchPermissions, "key_files": []string{keyFile},
	}}})
	if err != nil {
		return nil, err
	}
	environ := []string{
		"LISTEN_ADDRESS=" + address, "NATS_URL=" + b.broker.ClientURL(), "TOKEN_EXCHANGE_ISSUER=" + issuer,
		"TOKEN_EXCHANGE_SIGNING_ALGORITHM=" + algorithm, measure.ProfileVariable + "=" + profile,
	}
	for name, content := range map[string]string{
		"DATABASE_URL_FILE": url, "MIGRATION_DATABASE_URL_FILE": migrator, "AUTHN_CONFIG_FILE": trust,
		"TOMBSTONE_KEY_FILE": participant.NewTombstoneKey("t1"), "TOKEN_EXCHANGE_POLICY_FILE": policy, "TOKEN_EXCHANGE_CLIENTS_FILE": string(clients),
		"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE": api.GenerateSecretKey("h1"), "TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE": api.GenerateSecretKey("e1"),
	} {
		path, err := b.file(algorithm+"."+name, content)
		if err != nil {
			return nil, err
		}
		environ = append(environ, name+"="+path)
	}
	p, err := b.startProcess(ctx, serveMode, issuer+"/readyz", environ...)
	return &target{theService, algorithm, issuer + "/oauth/token", b.key, p}, err
}

// trust is AUTHN_CONFIG_FILE, with an identity provider that only has a key.
func (b *bench) trust(issuer, algorithm string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return "", fmt.Errorf("encode a key: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	idp := httptest.NewServer(keySet(map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "idp", "alg": "ES256", "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:]),
	}))
	raw, err := yaml.Marshal(authn.Config{Issuers: []authn.IssuerConfig{
		{Issuer: idp.URL, Profile: "shadowless", JWKSURLs: []string{idp.URL}, Algorithms: []string{"ES256"}},
		{Issuer: issuer, Profile: "shadowless", JWKSURLs: []string{issuer + "/.well-known/jwks.json"}, Algorithms: []string{algorithm}, UsersOf: idp.URL},
	}})
	return string(raw), err
}
