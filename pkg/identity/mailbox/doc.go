// Package mailbox moves messages between a service's PostgreSQL database and
// NATS JetStream without losing one and without applying one twice.
//
// Sending: [Enqueue] writes messages into the outbox within the transaction
// that changes the data. A [Publisher], one per service at a time, publishes
// them in order and deletes what JetStream has acknowledged.
//
// Receiving: a [Consumer] takes what waits, up to a batch, into one transaction:
// the inbox rows in one statement, then the handler for each message in order.
// It acknowledges after the commit. A message that comes again finds its inbox
// row and is only acknowledged. If one message of a batch fails, the batch is
// rolled back and its messages are applied one by one, so that poison is
// terminated alone and takes nobody with it.
//
// PostgreSQL is the durability point: a JetStream acknowledgment comes before
// fsync, so every message must be one that its service could publish again.
//
// The package never creates streams or durable consumers; it binds to what an
// operator declared. It is part of pkg/identity, not of a service, because a
// participant outside this repository needs it too.
package mailbox
