// Package revocation carries revocations from those who write them to the
// memory of every replica, through a NATS key-value bucket.
//
// The rows of identity-relay and token-exchange are the truth; the bucket is
// their projection and can be rebuilt from them. A [Feed] mirrors the bucket
// into an authn.RevocationList, so that checking a token costs no network call.
//
// A watch that has died looks like a bucket in which nothing happens. So each
// replica writes a heartbeat into the bucket every second and waits for it to
// come back through its own watch: how long ago that was is the list's staleness.
package revocation
