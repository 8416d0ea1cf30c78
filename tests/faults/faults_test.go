package faults_test

import (
	"flag"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/tests/faults"
)

var write = flag.Bool("write", false, "write docs/faults.md with what is seen")

const document = "../../docs/faults.md"

// trials are the cases' tests on the shared system.
var trials = map[string]func(*testing.T, *trial){
	"nats-killed":                           natsKilled,
	"postgres-restarted":                    postgresRestarted,
	"relay-killed-before-publish":           relayKilledBeforePublish,
	"relay-killed-before-acknowledgment":    relayKilledBeforeAcknowledgment,
	"consumer-killed-before-acknowledgment": consumerKilledBeforeAcknowledgment,
	"orders-killed":                         serviceKilled("orders", 0, some),
	"billing-killed":                        serviceKilled("billing", some, some),
	"token-exchange-killed":                 serviceKilled("token-exchange", some, some),
	"identity-relay-killed":                 serviceKilled("identity-relay", some, 0),
	"console-killed":                        serviceKilled("console", some, some),
	"clock-of-webhooks":                     clockOfWebhooks,
	"slow-consumer":                         slowConsumer,
	"store-full":                            storeFull,
	"duplicate-storm":                       duplicateStorm,
}

// TestFaults runs the cases one after the other on one system, since each
// disturbs it. A case that fails may leave it in any state, so the next one gets
// a new system.
func TestFaults(t *testing.T) { //nolint:tparallel // see above
	t.Parallel()
	seen := map[string]string{}
	var shared *system
	for _, c := range faults.Cases() {
		run, own := trials[c.ID], apart[c.ID]
		if run == nil && own == nil {
			continue // long
		}
		passed := t.Run(c.ID, func(sub *testing.T) {
			var x *trial
			if own != nil {
				x = own(sub)
			} else {
				if shared == nil {
					shared = startSystem(sub, t, 1)
				}
				x = newTrial(sub, shared)
				run(sub, x)
			}
			x.close(sub)
			seen[c.ID] = strings.Join(x.seen, "; ")
			sub.Log(seen[c.ID])
		})
		if !passed {
			shared = nil
		}
	}
	if *write && !t.Failed() {
		raw, err := os.ReadFile(document)
		if err != nil {
			require.ErrorIs(t, err, os.ErrNotExist)
		}
		all := faults.Seen(raw)
		maps.Copy(all, seen)
		require.NoError(t, os.WriteFile(document, faults.Document(all), 0o644)) //nolint:gosec // documentation is public
	}
}

// TestDocument_ListsExactlyTheCases compares everything but the numbers.
func TestDocument_ListsExactlyTheCases(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(document)
	require.NoError(t, err)
	seen := faults.Seen(raw)
	require.Equal(t, string(faults.Document(seen)), string(raw), "docs/faults.md is stale: make faults")
	for _, c := range faults.Cases() {
		require.False(t, faults.Missing(seen[c.ID]), "%s has no result in docs/faults.md: make faults", c.ID)
	}
}

func TestEveryCaseHasItsTest(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range faults.Cases() {
		require.False(t, known[c.ID], c.ID)
		known[c.ID] = true
		if c.Long && !long {
			require.NotContains(t, trials, c.ID)
			continue
		}
		require.NotEqual(t, trials[c.ID] != nil, apart[c.ID] != nil, c.ID)
	}
	for id := range trials {
		require.True(t, known[id], id)
	}
	for id := range apart {
		require.True(t, known[id], id)
	}
}
