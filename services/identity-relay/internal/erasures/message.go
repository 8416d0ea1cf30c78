package erasures

import (
	"context"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// RemoveMessage overwrites an event's message in the stream, unless it has aged
// out or another one is in its place.
func RemoveMessage(ctx context.Context, stream jetstream.Stream, id uuid.UUID, sequence uint64) error {
	return removeMessage(ctx, stream, id, sequence)
}
