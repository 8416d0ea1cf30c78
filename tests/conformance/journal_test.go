package conformance_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
)

// journal keeps what the replicas log, and finds a request's lines.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	lines   map[string][]string // by request ID
	arrived chan struct{}       // closed and replaced at each line
}

func newJournal() *journal {
	return &journal{lines: map[string][]string{}, arrived: make(chan struct{})}
}

// Write takes one line, as slog's handlers write them.
func (j *journal) Write(line []byte) (int, error) {
	var record struct {
		RequestID string `json:"request_id"`
	}
	_ = json.Unmarshal(line, &record) // whatever else is written is kept too
	j.mu.Lock()
	defer j.mu.Unlock()
	if record.RequestID != "" {
		j.lines[record.RequestID] = append(j.lines[record.RequestID], string(line))
	}
	close(j.arrived)
	j.arrived = make(chan struct{})
	return j.text.Write(line)
}

// of waits for a request's lines.
func (j *journal) of(t *testing.T, requestID string) string {
	t.Helper()
	late := time.After(meshtest.Within)
	for {
		j.mu.Lock()
		lines, arrived := j.lines[requestID], j.arrived
		j.mu.Unlock()
		if len(lines) > 0 {
			return strings.Join(lines, "\n")
		}
		select {
		case <-arrived:
		case <-late:
			require.Fail(t, "the request left no line in the log")
		}
	}
}

// searched looks through everything for a key and for a token.
func (j *journal) searched(t *testing.T, all ...map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.text.String()
	require.NotContains(t, text, "eyJ", "a token was logged")
	for _, keys := range all {
		for client, key := range keys {
			require.False(t, strings.Contains(text, secretPart(key)), "the API key of %s was logged", client) //nolint:testifylint // a failure must not print the key
		}
	}
}

// whole is everything that was logged.
func (j *journal) whole() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// secretPart of an API key or a token; the rest of it is public, or says less.
func secretPart(key string) string {
	if parts := strings.Split(key, "_"); len(parts) == 5 && parts[0] == "sl" && len(parts[3]) >= minSecret {
		return parts[3]
	}
	if parts := strings.Split(key, "."); len(parts) == 3 && len(parts[2]) >= minSecret {
		return parts[2]
	}
	return key
}

// minSecret is the length in bytes below which a text is not looked for.
const minSecret = 8
