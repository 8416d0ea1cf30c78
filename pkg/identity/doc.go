// Package identity is the contract of the identity events: what an event says,
// how it looks on the wire and on which subject it travels.
//
// An event is thin. It names a user or a session by opaque ID and says what
// happened, never who the person is: no name and no e-mail address ever enters
// an event. Whoever needs more reads it from the identity provider or from the
// directory (package directory).
//
// On the wire an event is a CloudEvents 1.0 object in structured JSON. Its
// `subject` attribute stays empty and its NATS subject carries a partition
// instead of the user ID, because subjects end up in logs and metrics.
//
// The packages below this one carry the events: mailbox (transactional outbox
// and inbox), participant (answers erasures), revocation (mirrors revocations
// into memory) and directory (names for IDs).
package identity
