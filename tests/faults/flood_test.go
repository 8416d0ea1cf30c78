package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
)

// slowConsumer holds a table that token-exchange needs for each grant.
func slowConsumer(t *testing.T, x *trial) {
	b := openBooks(t, x.system)
	begun := time.Now()
	tx, err := b.conns[devstack.TokenExchange].Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE user_grants IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	x.deleteUser(t)
	eventually(t, "everybody but token-exchange has answered", func(ctx context.Context) error {
		return b.none(ctx, devstack.IdentityRelay, "answers missing beside token-exchange's", `SELECT 4 - count(*) FROM erasure_participants p
			JOIN erasures e ON e.id = p.erasure_id WHERE e.user_hash = ANY($1) AND (p.receipt IS NULL) = (p.participant IN ('token-exchange', 'identity-relay'))
			AND p.participant <> 'identity-relay'`, b.hashes(x))
	})
	eventually(t, "messages were delivered again", func(ctx context.Context) error {
		durable, err := x.js.Consumer(ctx, "IDENTITY", "token-exchange-identity")
		if err != nil {
			return err
		}
		if durable.CachedInfo().NumRedelivered == 0 {
			return errors.New("none was")
		}
		return nil
	})
	x.load.progress(t, some, some)
	require.NoError(t, tx.Rollback(t.Context()))
	x.note("token-exchange was held up for %.1f s; messages were delivered again and applied once", time.Since(begun).Seconds())
}

// duplicateStorm tells one life a hundred times in any order.
func duplicateStorm(t *testing.T, x *trial) {
	const copies, senders = 100, 8
	c := x.doomed[0]
	now := time.Now()
	var storm []delivery
	for range copies {
		for _, d := range []delivery{
			newDelivery("better-auth", "user.created", now, map[string]any{"id": c.ID}),
			newDelivery("better-auth", "session.deleted", now, sessionData{"session-of-" + c.ID, c.ID}),
			newDelivery("auther", "grant.created", now, grantData{"user", c.ID, "client_shop:order", "*", "staff"}),
			newDelivery("better-auth", "user.deleted", now, map[string]any{"id": c.ID}),
		} {
			storm = append(storm, d, d)
		}
	}
	rand.Shuffle(len(storm), func(i, j int) { storm[i], storm[j] = storm[j], storm[i] })
	x.deleteUser(t)
	queue := make(chan delivery, len(storm))
	for _, d := range storm {
		queue <- d
	}
	close(queue)
	begun := time.Now()
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for d := range queue {
				err := until(t.Context(), func(ctx context.Context) error {
					status, err := x.load.hooks.send(ctx, d)
					if err == nil && status != http.StatusNoContent {
						return fmt.Errorf("the relay answered %d", status)
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	x.note("%d deliveries of 4 facts in %.1f s: one erasure", len(storm), time.Since(begun).Seconds())
}

// clockOfWebhooks: the IdP's clock is off, and what it signs carries its time.
func clockOfWebhooks(t *testing.T, x *trial) {
	b := openBooks(t, x.system)
	const refused = `SELECT coalesce(sum(count), 0)::int FROM refusals WHERE source = 'auther'`
	before := b.count(t, devstack.IdentityRelay, refused)
	for _, offset := range []time.Duration{-71 * time.Hour, 4 * time.Minute, 0} {
		status, err := x.load.hooks.send(t.Context(), grantTo(x.load.hooks.user, time.Now().Add(offset)))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, status, "%s", offset)
	}
	early := grantTo(x.load.hooks.user, time.Now().Add(6*time.Minute))
	status, err := x.load.hooks.send(t.Context(), early)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
	eventually(t, "the refusal is counted", func(context.Context) error {
		if n := b.count(t, devstack.IdentityRelay, refused); n != before+1 {
			return fmt.Errorf("%d are", n-before)
		}
		return nil
	})
	x.deleteUser(t)
	require.Zero(t, b.count(t, devstack.IdentityRelay, `SELECT count(*) FROM events WHERE data ->> 'entity_id' = $1`, early.mark))
	x.note("3 of 4 accepted, 1 refused and counted")
}
