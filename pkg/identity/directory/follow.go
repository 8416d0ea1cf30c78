package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shadowless/shadowless/pkg/identity"
)

// Subjects are what [Client.Follow] subscribes to.
var Subjects = []string{identity.Filter("user"), identity.Filter("erasure")}

const (
	// gapInterval is how often Follow looks whether it may have missed events.
	gapInterval  = 250 * time.Millisecond
	flushTimeout = 5 * time.Second
)

// Follow keeps the cache in step with the identity events until ctx ends, when
// it returns nil: an updated user is asked for again, a deleted or erased one is
// shown as such from then on.
//
// It subscribes to the subjects as they are published, not through a consumer of
// the stream: each replica hears them, the server keeps nothing for it, and it
// needs no right to make consumers. What that can miss, over a lost connection
// or as a slow consumer, is noticed, and then everything known so far is asked
// for again when it is next wanted.
func (c *Client) Follow(ctx context.Context, conn *nats.Conn, log *slog.Logger) error {
	var subscriptions []*nats.Subscription
	defer func() {
		for _, s := range subscriptions {
			_ = s.Unsubscribe() // fails only where the connection is gone, and the subscription with it
		}
	}()
	for _, subject := range Subjects {
		s, err := conn.Subscribe(subject, func(m *nats.Msg) { c.hear(ctx, m, log) })
		if err != nil {
			return fmt.Errorf("follow identity events: %w", err)
		}
		subscriptions = append(subscriptions, s)
	}
	ticker := time.NewTicker(gapInterval)
	defer ticker.Stop()
	heard := ^uint64(0) // no gap is counted yet, so the first look finds one
	for {
		if gaps, err := countGaps(conn, subscriptions); err == nil && gaps != heard && c.caughtUp(ctx, conn) {
			c.cache.expireAll(c.config.Now())
			heard = gaps
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// countGaps changes with every time that events may have been missed.
func countGaps(conn *nats.Conn, subscriptions []*nats.Subscription) (uint64, error) {
	if !conn.IsConnected() {
		return 0, errors.New("not connected")
	}
	gaps := conn.Stats().Reconnects
	for _, s := range subscriptions {
		dropped, err := s.Dropped()
		if err != nil {
			return 0, fmt.Errorf("count dropped messages: %w", err)
		}
		gaps += uint64(max(dropped, 0)) //nolint:gosec // not negative
	}
	return gaps, nil
}

// caughtUp reports whether the server has the subscriptions: what is published
// from now on is heard.
func (c *Client) caughtUp(ctx context.Context, conn *nats.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return conn.FlushWithContext(ctx) == nil
}

func (c *Client) hear(ctx context.Context, m *nats.Msg, log *slog.Logger) {
	e, err := identity.Decode(m.Data)
	if err != nil {
		log.WarnContext(ctx, "identity event was not understood by the directory", "cause", err.Error())
		return
	}
	if e.UserID == "" {
		return
	}
	c.overtake(e.UserID)
	now := c.config.Now()
	switch e.Type {
	case identity.TypeUserDeleted, identity.TypeErasureRequested:
		c.cache.change(e.UserID, e.Version, func(entry, bool) (entry, bool) {
			return entry{profile: &Profile{Erased: true}, at: now, lasting: true}, true
		})
	case identity.TypeUserCreated, identity.TypeErasureReadmitted:
		c.cache.change(e.UserID, e.Version, func(entry, bool) (entry, bool) { return entry{}, false })
	default:
		// Kept for the case that the directory does not answer; an erased user is not renamed.
		c.cache.change(e.UserID, e.Version, func(old entry, known bool) (entry, bool) {
			old.expired = old.expired || !old.erased()
			return old, known
		})
	}
}
