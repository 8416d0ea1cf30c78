package webhooks

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBodiesAndSignaturesAreTheRecordedOnes encodes and signs what the real
// server sent and compares every byte.
func TestBodiesAndSignaturesAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/webhooks.json")
	require.NoError(t, err)
	var recorded []struct {
		Type, Format, Secret, Body string
		Headers                    map[string]string
	}
	require.NoError(t, json.Unmarshal(content, &recorded))
	require.NotEmpty(t, recorded)
	var last envelope
	for _, r := range recorded {
		if r.Format == "json" {
			last = envelope{}
			require.NoError(t, json.Unmarshal([]byte(r.Body), &last))
		}
		event := last
		event.ID = r.Headers["x-webhook-id"]
		body, contentType, err := event.encode(r.Format)
		require.NoError(t, err)
		require.Equal(t, r.Body, string(body))
		require.Equal(t, r.Headers["content-type"], contentType)
		require.Equal(t, r.Headers["x-webhook-signature"], Sign(r.Secret, event.Timestamp, body))
		require.Equal(t, r.Headers["x-webhook-origin"], Event{Type: r.Type}.origin())
		require.Regexp(t, `^evt_[0-9a-f]{32}$`, event.ID)
		require.Len(t, newEventID(), len(event.ID))
	}
}
