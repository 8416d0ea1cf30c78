// Package authn verifies JSON Web Tokens locally and turns each one into a
// [Principal]: who calls, on whose behalf, and what the token says they may do.
//
// # Verifying
//
// A [Verifier] is built from a [Config] (one YAML file, the same for every
// service) and [Options] (what is this service's own, its audience above all):
//
//	cfg, err := authn.LoadConfig("authn.yaml")
//	list := authn.NewRevocationList(authn.RevocationListOptions{})
//	v, err := authn.New(ctx, cfg, authn.Options{
//		Audiences:   []string{"orders"},
//		Revocations: list,
//		KeyStore:    authn.DirKeyStore("/var/lib/orders/keys"),
//	})
//	defer v.Close()
//	http.ListenAndServe(addr, v.Middleware(handler))
//
// Inside the handler, [FromContext] returns the Principal.
//
// [New] never waits for the network. Keys are fetched in the background, kept
// through an outage of the identity provider up to a maximum age, and, with a
// [KeyStore], through a restart as well. A request whose key is known never
// waits for a fetch.
//
// Everything that is not strictly a token of a configured issuer is refused;
// the errors are the sentinels in errors.go, to be told apart by errors.Is.
// [PublicMessage] is the only text that may reach a client.
//
// # Issuers and profiles
//
// Tokens of different products look different. A profile (shadowless, auther,
// auther-observed, keycloak, auth0, entra, oidc) is the data that says how:
// algorithms, header types, claim names, what marks a service, which named
// quirks are tolerated. Each of these can be overridden for an issuer in the
// configuration.
//
// # Deciding
//
// [Principal.Can] answers [Allow], [Deny] or [Ask]. Ask means that the token
// alone cannot tell, because a policy over the resource's attributes decides;
// [Authorize] then asks an [Asker]: the identity provider
// ([NewAutherAsker]) or the service itself ([LocalPolicy]). An asker that
// cannot be reached is [ErrCannotAsk], never a yes.
//
// # Revocation
//
// [RevocationList] holds in memory what has been revoked; whoever feeds it
// calls Apply, MarkLoaded and Heartbeat. Every verification, cached or not,
// consults it. [RevocationList.Fresh] says whether it may still be trusted.
//
// # Calling others
//
// [TokenSource] trades this service's API key for a service token;
// [Delegator] trades it together with a user's token for a delegated token
// (RFC 8693). Both keep using a live token while the token endpoint is down.
//
// Package authntest issues really signed tokens for tests, and package gokit
// holds go-kit endpoint middleware.
package authn
