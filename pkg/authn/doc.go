// Package authn verifies JSON Web Tokens locally and turns each one into a
// [Principal]: who calls, on whose behalf, and what the token says they may do.
// It revokes tokens in memory, asks for what a token cannot decide, and gets
// the tokens with which a service calls others.
//
// # Protect a handler
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
// Inside the handler, [FromContext] returns the Principal. A route that needs
// more says so: [Verifier.Require] with [Scopes], [Authentication] (a stronger
// or more recent sign-in, RFC 9470) and [Fresh] (no service while revocations
// cannot arrive). Who is refused gets the answer of RFC 6750 from [WriteError],
// which tells nothing of the cause; the cause goes to the log.
//
// # What is accepted
//
// Everything that is not strictly a token of a configured issuer is refused:
// one canonical spelling, no header that brings a key along or demands an
// extension, names unique and case-sensitive at every depth, `kid`, `exp`,
// `iat`, `sub` and `aud` required, `alg` and `typ` from the issuer's list, at
// most 16 KiB, 30 seconds of leeway. Every honest token is accepted, ECDSA
// signatures with a high s included. The errors are the sentinels in errors.go,
// to be told apart by errors.Is; [PublicMessage] is the only text that may
// reach a client. testdata/refusals holds the cases as data, for verifiers in
// other languages too.
//
// # Keys and outages
//
// [New] never waits for the network. Keys are fetched in the background, from
// several URLs if there are, every [KeysConfig].Refresh or sooner where the
// issuer's Cache-Control says so; a request whose key is known never waits. An
// unknown `kid` has the set fetched at once, but at most once a second, so that
// neither junk makes a storm nor a rotation goes unnoticed. A set that is empty
// or broken wipes nothing; one bad key costs only itself; a key that the issuer
// removed is trusted for [KeysConfig].RemovedTrust more. The last good set is
// kept through an outage and, with a [KeyStore], through a restart, up to
// [KeysConfig].MaxAge. [Verifier.Ready] says whether there are keys.
//
// # Issuers and profiles
//
// Tokens of different products look different. A profile (shadowless, auther,
// auther-observed, keycloak, auth0, entra, oidc) is the data that says how:
// algorithms, header types, claim names, what marks a service, what a user's
// token must have, which named quirks are tolerated. Each of these can be
// overridden for an issuer in the configuration. Issuers never share keys, and
// where more than one issues users, each has a namespace for their IDs.
//
// # Deciding
//
// [Principal.Can] answers [Allow], [Deny] or [Ask]. Ask means that the token
// alone cannot tell, because a policy over the resource's attributes decides;
// [Authorize] then asks an [Asker]: the identity provider
// ([NewAutherAsker]) or the service itself ([LocalPolicy]). An asker that
// cannot be reached is [ErrCannotAsk], never a yes, and never mistaken for a no.
//
// # Revocation
//
// [RevocationList] holds in memory what has been revoked: a token and its
// descendants, a session, a user's or client's tokens issued at or before T, a
// blocked user. Whoever feeds it calls Apply, MarkLoaded and Heartbeat. Every
// verification, cached or not, consults it. [RevocationList.Fresh] says whether
// it may still be trusted, and by [Fresh] each route chooses what that means.
//
// [Verifier.VerifySET] verifies Security Event Tokens (RFC 8417), by which an
// issuer tells of such things, with the same keys.
//
// # Calling others
//
// [TokenSource] trades this service's API key or workload token for a service
// token; [Delegator] trades it together with a user's token for a delegated
// token (RFC 8693). Both are an [golang.org/x/oauth2.TokenSource] and an
// [net/http.RoundTripper], keep using a live token while the token endpoint is
// down, and drop and replace once a token that was revoked or refused.
//
// # Testing
//
// Package authntest issues really signed tokens for tests, rotates, hangs,
// lies and goes down when told to. Package gokit holds go-kit endpoint
// middleware; who does not import it does not compile go-kit.
package authn
