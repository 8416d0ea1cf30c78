package faults_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
)

// serviceKilled kills a service while it works; so many orders and webhooks must
// be accepted while it is dead.
func serviceKilled(service string, orders, webhooks int64) func(*testing.T, *trial) {
	return func(t *testing.T, x *trial) {
		begun := time.Now()
		x.kill(t, service)
		x.load.progress(t, orders, webhooks)
		x.deleteUser(t)
		x.load.progress(t, orders, webhooks)
		x.again(t, service)
		x.note("%s was dead for %.1f s", service, time.Since(begun).Seconds())
	}
}

// relayKilledBeforePublish: what was committed is published by the next process.
func relayKilledBeforePublish(t *testing.T, x *trial) {
	wire := x.rewire(t, devstack.IdentityRelay)
	x.load.progress(t, 0, some)
	wire.set(true)
	x.load.progress(t, some, some)
	x.deleteUser(t)
	b := openBooks(t, x.system)
	eventually(t, "the deletion is committed", func(ctx context.Context) error { return b.opened(ctx, x) })
	x.kill(t, devstack.IdentityRelay)
	waiting := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM mailbox_outbox`)
	unpublished := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM events WHERE stream_sequence IS NULL`)
	require.GreaterOrEqual(t, waiting, some)
	require.Equal(t, waiting, unpublished, "what is not published is in the outbox")
	wire.set(false)
	x.again(t, devstack.IdentityRelay)
	x.note("%d events were committed and not published when it was killed", waiting)
}

// relayKilledBeforeAcknowledgment: what was published and is still in the outbox
// is published again.
func relayKilledBeforeAcknowledgment(t *testing.T, x *trial) {
	wire := x.rewire(t, devstack.IdentityRelay)
	x.load.progress(t, 0, some)
	withheld := wire.when(toNATS, "PUB identity.v1.user.deleted", fromNATS)
	x.deleteUser(t)
	select {
	case <-withheld:
	case <-time.After(patience):
		require.Fail(t, "the deletion was not published")
	}
	b := openBooks(t, x.system)
	eventually(t, "the message is in the stream and in the outbox", func(ctx context.Context) error {
		stream, err := x.js.Stream(ctx, streams.Identity)
		if err != nil {
			return err
		}
		if _, err := stream.GetLastMsgForSubject(ctx, "identity.v1.user.deleted.>"); err != nil {
			return err
		}
		n := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM mailbox_outbox WHERE subject LIKE 'identity.v1.user.deleted.%'`)
		if n == 0 {
			return errors.New("it is not in the outbox")
		}
		return nil
	})
	x.kill(t, devstack.IdentityRelay)
	again := b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM mailbox_outbox`)
	x.again(t, devstack.IdentityRelay)
	x.note("%d events were in the outbox when it was killed, the deletion among them, which was in the stream already", again)
}

// consumerKilledBeforeAcknowledgment: what was committed and not acknowledged is
// delivered again and changes nothing.
func consumerKilledBeforeAcknowledgment(t *testing.T, x *trial) {
	wire := x.rewire(t, devstack.Orders)
	x.load.progress(t, some, 0)
	durable := streams.Durable(devstack.Orders, "billing")
	withheld := wire.when(fromNATS, "$JS.ACK."+streams.Billing+"."+durable+".", toNATS)
	select {
	case <-withheld:
	case <-time.After(patience):
		require.Fail(t, "nothing was delivered")
	}
	b := openBooks(t, x.system)
	consumer, err := x.js.Consumer(t.Context(), streams.Billing, durable)
	require.NoError(t, err)
	floor := consumer.CachedInfo().AckFloor.Consumer
	var committed, acknowledged int
	eventually(t, "an event is committed and not acknowledged", func(ctx context.Context) error {
		info, err := consumer.Info(ctx)
		if err != nil {
			return err
		}
		committed = b.count(t, devstack.Orders, `SELECT count(*) FROM mailbox_inbox WHERE consumer = $1`, durable)
		acknowledged = int(info.Delivered.Stream) - info.NumAckPending //nolint:gosec // small numbers
		if floor != info.AckFloor.Consumer {
			return errors.New("acknowledgments still arrive")
		}
		if committed <= acknowledged {
			return fmt.Errorf("%d are committed, %d acknowledged", committed, acknowledged)
		}
		return nil
	})
	x.kill(t, devstack.Orders)
	x.deleteUser(t)
	x.again(t, devstack.Orders)
	x.note("%d events were committed and not acknowledged when it was killed", committed-acknowledged)
}

// rewire starts a service anew with a line of its own to NATS.
func (s *system) rewire(t *testing.T, service string) *line {
	t.Helper()
	l := newLine(t, s)
	s.kill(t, service)
	s.launch(t, service, l.url())
	s.ready(t, service)
	return l
}
