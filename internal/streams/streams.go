// Package streams declares everything that lives in NATS: streams, durable
// consumers, buckets, and what each service may do there. Services never create
// any of it; `shadowless streams apply` does, and `shadowless up` calls the same.
package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Streams.
const (
	Identity    = "IDENTITY"
	Receipts    = "RECEIPTS"
	Orders      = "ORDERS"
	Billing     = "BILLING"
	DeadLetters = "DEAD_LETTERS"
)

// Buckets.
const (
	Revocations = "REVOCATIONS"
	KeySets     = "KEYSETS"
)

// Revoker is the service whose heartbeat in the bucket tells every replica that
// revocations still arrive.
const (
	Revoker          = "identity-relay"
	RevokerHeartbeat = "relay"
)

// Lives of what is kept.
const (
	// IdentityMaxAge is how long an identity event stays in the stream. The
	// erasure certificate quotes it.
	IdentityMaxAge = 7 * 24 * time.Hour
	// RevocationTTL is the longest life of a credential that is accepted as a
	// subject token (an Auther id_token: 48 h) and an hour of skew.
	RevocationTTL = 49 * time.Hour

	domainMaxAge     = 7 * 24 * time.Hour
	receiptMaxAge    = 30 * 24 * time.Hour
	deadLetterMaxAge = 30 * 24 * time.Hour
	duplicateWindow  = 2 * time.Minute // the inbox is what removes duplicates; this only saves space

	maxMessageSize = 64 << 10
	// ackWait must be longer than a handler may take, see mailbox.ConsumerConfig.
	ackWait       = 30 * time.Second
	maxAckPending = 256
)

// Consumer is one durable of one service.
type Consumer struct {
	Stream  string
	Durable string
	Service string
	Filters []string
}

// erasing is what a participant answers: erasures, and users who get another ID.
var erasing = []string{"identity.v1.erasure.>", "identity.v1.user.rekeyed.>"}

// Consumers are the durables of the services. None gives up by count: a participant
// whose database is down for a day must still answer. Poison is terminated with
// a reason and kept in DEAD_LETTERS.
var Consumers = []Consumer{
	{Identity, "orders-erasures", "orders", erasing},
	{Identity, "billing-erasures", "billing", erasing},
	{Identity, "token-exchange-erasures", "token-exchange", erasing},
	{Identity, "console-erasures", "console", erasing},
	{Identity, "token-exchange-identity", "token-exchange", []string{"identity.v1.user.>", "identity.v1.access.>", "identity.v1.erasure.readmitted.>"}},
	{Receipts, "identity-relay-receipts", "identity-relay", []string{"receipts.v1.>"}},
	{Billing, "orders-billing", "orders", []string{"billing.v1.>"}},
	{Orders, "billing-orders", "billing", []string{"orders.v1.>"}},
}

// Durable names the consumer of a service for one purpose.
func Durable(service, purpose string) string { return service + "-" + purpose }

func declared(replicas int) []jetstream.StreamConfig {
	file := func(name, subjects string, age time.Duration) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subjects}, MaxAge: age, Storage: jetstream.FileStorage,
			Replicas: replicas, Duplicates: duplicateWindow, MaxMsgSize: maxMessageSize,
			DenyPurge: false, Discard: jetstream.DiscardOld,
		}
	}
	dead := file(DeadLetters, "", deadLetterMaxAge)
	dead.Subjects = []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"}
	return []jetstream.StreamConfig{
		file(Identity, "identity.v1.>", IdentityMaxAge),
		file(Receipts, "receipts.v1.>", receiptMaxAge),
		file(Orders, "orders.v1.>", domainMaxAge),
		file(Billing, "billing.v1.>", domainMaxAge),
		dead,
	}
}

// A server that has just deleted a stream may refuse one of the same name for a
// moment, while it clears away the files (JSStreamStoreFailedF, seen with
// nats-server 2.15 in one of some hundred runs).
const (
	storeFailed jetstream.ErrorCode = 10049
	clearing                        = 5 * time.Second
	askAgain                        = 20 * time.Millisecond
)

// made asks again while the server is clearing away.
func made(ctx context.Context, create func() error) error {
	deadline := time.Now().Add(clearing)
	for {
		err := create()
		var refused *jetstream.APIError
		if !errors.As(err, &refused) || refused.ErrorCode != storeFailed || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(askAgain):
		}
	}
}

// Apply declares everything, again and again with the same result.
func Apply(ctx context.Context, js jetstream.JetStream, replicas int) error {
	for _, cfg := range declared(replicas) {
		if err := made(ctx, func() error { _, err := js.CreateOrUpdateStream(ctx, cfg); return err }); err != nil {
			return fmt.Errorf("stream %s: %w", cfg.Name, err)
		}
	}
	for _, c := range Consumers {
		_, err := js.CreateOrUpdateConsumer(ctx, c.Stream, jetstream.ConsumerConfig{
			Durable: c.Durable, FilterSubjects: c.Filters, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: ackWait, MaxDeliver: -1, MaxAckPending: maxAckPending,
		})
		if err != nil {
			return fmt.Errorf("consumer %s: %w", c.Durable, err)
		}
	}
	for _, cfg := range []jetstream.KeyValueConfig{
		{Bucket: Revocations, TTL: RevocationTTL, History: 1, Storage: jetstream.FileStorage, Replicas: replicas},
		{Bucket: KeySets, History: 1, Storage: jetstream.FileStorage, Replicas: replicas},
	} {
		if err := made(ctx, func() error { _, err := js.CreateOrUpdateKeyValue(ctx, cfg); return err }); err != nil {
			return fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
		}
	}
	return nil
}
