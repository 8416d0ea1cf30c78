package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/apiclient"
	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

// trial is one case on a system: load before, during and after the fault, users
// who are deleted in its middle, and the closing check.
type trial struct {
	*system
	load    *load
	doomed  []*customer
	deleted []*customer
	pending sync.WaitGroup
	seen    []string // what the case itself observed
}

func newTrial(t *testing.T, s *system) *trial {
	t.Helper()
	x := &trial{system: s}
	x.doomed = append(x.doomed, s.newcomer(t))
	x.load = startLoad(t, s)
	x.load.progress(t, some, some)
	return x
}

// note is something for the document.
func (x *trial) note(format string, args ...any) {
	x.seen = append(x.seen, fmt.Sprintf(format, args...))
}

// deleteUser deletes the next of the doomed at the IdP, whose webhook then tells
// the relay.
func (x *trial) deleteUser(t *testing.T) {
	t.Helper()
	c := x.doomed[0]
	x.doomed = x.doomed[1:]
	require.NoError(t, x.system.delete(t.Context(), c.ID))
	x.deleted = append(x.deleted, c)
}

// deleteLater begins a deletion that the IdP cannot carry out yet.
func (x *trial) deleteLater(t *testing.T) {
	t.Helper()
	c := x.doomed[0]
	x.doomed = x.doomed[1:]
	x.deleted = append(x.deleted, c)
	x.pending.Go(func() {
		if err := x.system.delete(t.Context(), c.ID); err != nil {
			t.Error(err)
		}
	})
}

// close ends the load and holds what is left of it to what was promised: nothing
// is lost, nothing was applied twice, every erasure is complete.
func (x *trial) close(t *testing.T) {
	t.Helper()
	x.load.progress(t, some, some) // everything works again
	x.load.stop()
	x.pending.Wait()
	if t.Failed() {
		t.FailNow()
	}
	b := openBooks(t, x.system)
	eventually(t, "the system comes to rest", func(ctx context.Context) error { return b.resting(ctx, x) })
	b.ordersAndInvoices(t, x)
	b.webhooks(t, x)
	b.erasures(t, x)
	b.noDeadLetters(t)
	for _, c := range x.deleted {
		_, err := c.orders.Place(t.Context(), c.Token, uuid.NewString(), basket)
		var refusal *apiclient.Error
		require.ErrorAs(t, err, &refusal, "a deleted user's token still orders")
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusGone}, refusal.Status)
		x.noTrace(t, b, c.ID)
	}
	x.seen = append([]string{fmt.Sprintf("%d orders (%d paid, %d canceled), %d webhooks, deleted users: %d; all accounted for, once",
		x.load.orders.Load(), len(x.load.paid), len(x.load.canceled), x.load.hooks.count.Load(), len(x.deleted))}, x.seen...)
}

// noTrace scans everything for a user ID; only what a receipt declares as kept by
// law may hold it.
func (x *trial) noTrace(t *testing.T, b *books, userID string) {
	t.Helper()
	kept := map[string]bool{}
	for _, answer := range b.receipts(t) {
		var receipt participant.Receipt
		require.NoError(t, json.Unmarshal(answer.Receipt, &receipt))
		for _, c := range receipt.Columns {
			if c.Disposition == participant.Retain {
				require.NotEmpty(t, c.LegalReason)
				kept[devstack.DatabaseName(answer.Participant)+" "+c.Table+"."+c.Column] = true
			}
		}
	}
	found, err := devstack.Scan(t.Context(), &x.stack.Running, userID)
	require.NoError(t, err)
	for _, f := range found {
		require.True(t, kept[f.Store+" "+f.Place], "a deleted user's ID is left in %s", f)
	}
}
