package telemetry

import (
	"context"
	"log/slog"
	"sync"
)

// Request collects what its one log line will say.
type Request struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type requestKey struct{}

// NewRequest puts an empty record into the context.
func NewRequest(ctx context.Context) (context.Context, *Request) {
	r := &Request{}
	return context.WithValue(ctx, requestKey{}, r), r
}

// Annotate adds attributes to the log line of the request that ctx belongs to.
// It reports false where there is none.
func Annotate(ctx context.Context, attrs ...slog.Attr) bool {
	r, ok := ctx.Value(requestKey{}).(*Request)
	if !ok {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attrs = append(r.attrs, attrs...)
	return true
}

// Attrs is what was added so far.
func (r *Request) Attrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]slog.Attr(nil), r.attrs...)
}
