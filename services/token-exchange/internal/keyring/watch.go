package keyring

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Watch reads the file again every interval until ctx ends, and returns nil. A
// file that is gone or faulty leaves the keys as they are and is logged, once.
func (r *Ring) Watch(ctx context.Context, every time.Duration, log *slog.Logger) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := r.reload()
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			log.ErrorContext(ctx, "a key file cannot be read again, the keys stay as they are", "file", r.path, "cause", err)
		}
		if changed {
			log.InfoContext(ctx, "key file read again", "file", r.path, "ids", r.IDs())
		}
	}
}

func (r *Ring) reload() (changed bool, err error) {
	keys, err := read(r.path)
	if err != nil {
		return false, err
	}
	same := slices.EqualFunc(keys, r.all(), func(a, b key) bool { return a.id == b.id && slices.Equal(a.secret, b.secret) })
	if same {
		return false, nil
	}
	r.keys.Store(&keys)
	return true, nil
}
