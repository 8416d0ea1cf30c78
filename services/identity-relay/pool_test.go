package identityrelay_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/identity-relay/api"
)

// The pool has room for more than pgx's default, since the relay's own work keeps
// several connections for long: here a dozen requests wait in the database at once.
func TestPool_HasRoomForRequestsBesideTheRelaysOwnWork(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	const requests = 12
	locking, err := r.db.Owner.Begin(t.Context())
	require.NoError(t, err)
	defer locking.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // it may be over
	_, err = locking.Exec(t.Context(), `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			if _, err := r.operator.Events(t.Context(), api.EventFilter{}); err != nil {
				t.Errorf("events: %v", err)
			}
		})
	}
	r.eventually("all of them wait for the table", func() bool {
		return r.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND relation = 'events'::regclass
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) >= requests
	})
	require.NoError(t, locking.Rollback(t.Context()))
	all.Wait()
}
