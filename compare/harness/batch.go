package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/internal/measure"
)

// about makes one webhook about each user.
func (w *world) about(ids []string, kind string, at time.Time, name func(string) string) ([]delivery, error) {
	all := make([]delivery, len(ids))
	for i, id := range ids {
		data := profile(id, name(id), at)
		if kind == "user.deleted" {
			data = map[string]any{"id": id}
		}
		var err error
		if all[i], err = w.webhooks.sign(kind, data); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// deliverMany sends several at once. No two of a batch are about the same user,
// unless one is the other repeated.
func (w *world) deliverMany(ctx context.Context, c contender, batch []delivery) error {
	n, err := measure.Full(ctx, 8, len(batch), patience, func(ctx context.Context, i int, _ time.Time) error { return w.deliver(ctx, c, batch[i]) })
	if err == nil && n < len(batch) {
		err = fmt.Errorf("%d of %d webhooks were delivered within %s", n, len(batch), patience)
	}
	return err
}
