// Package rehash carries API keys over to a new hash key. Nobody can compute a
// key's new hash from its old one, so it is done when the key is next presented;
// which keys still depend on an older hash key can be counted.
package rehash

import (
	"context"
	"log/slog"

	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
)

// waiting is how many hashes may wait. What finds no room comes again with the
// key's next use.
const waiting = 256

// Store keeps hashes.
type Store interface {
	// Rehash stores the key's hash.
	Rehash(ctx context.Context, keyID string, fresh keyring.Hashed) error
}

// Writer stores new hashes off the request path.
type Writer struct {
	store Store
	log   *slog.Logger
	queue chan item
}

type item struct {
	keyID string
	fresh keyring.Hashed
}

// New makes a writer; Run writes.
func New(store Store, log *slog.Logger) *Writer {
	return &Writer{store: store, log: log, queue: make(chan item, waiting)}
}

// Outdated takes the hash of a key that was just proven. It never waits.
func (w *Writer) Outdated(keyID string, fresh keyring.Hashed) {
	select {
	case w.queue <- item{keyID, fresh}:
	default:
	}
}

// Run writes until ctx ends and returns nil.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case i := <-w.queue:
			if err := w.store.Rehash(ctx, i.keyID, i.fresh); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "a key is not carried over to the new hash key yet", "key_id", i.keyID, "cause", err)
			}
		}
	}
}
