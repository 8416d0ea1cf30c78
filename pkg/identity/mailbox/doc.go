// Package mailbox moves messages between a service's PostgreSQL database and
// NATS JetStream without losing one and without applying one twice.
//
// Sending: [Enqueue] writes messages into the outbox within the transaction
// that changes the data. A [Publisher], one per service at a time, publishes
// them in order and deletes what JetStream has acknowledged.
//
// Receiving: a [Consumer] opens one transaction per message, writes the inbox
// row and runs the handler in it. A message that comes again finds its inbox
// row and is only acknowledged.
//
// PostgreSQL is the durability point: a JetStream acknowledgment comes before
// fsync, so every message must be one that its service could publish again.
//
// The package never creates streams or durable consumers; it binds to what an
// operator declared. It is part of pkg/identity, not of a service, because a
// participant outside this repository needs it too.
package mailbox
