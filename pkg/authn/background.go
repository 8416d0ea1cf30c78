package authn

import (
	"context"
	"fmt"
	"sync"
)

var errClosed = fmt.Errorf("%w: token source is closed", ErrTokenUnavailable)

// background runs goroutines that Close ends and waits for.
type background struct {
	ctx    context.Context //nolint:containedctx // of the goroutines, which end with Close and not with a call
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newBackground() *background {
	b := &background{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// run starts f, unless Close was called.
func (b *background) run(f func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(func() { f(b.ctx) })
	return true
}

func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// flightContext ends with Close and not with the caller, who may give up while
// others wait for the same flight; its values are the caller's, so the request
// belongs to the trace that caused it.
type flightContext struct {
	context.Context                 //nolint:containedctx // it is one itself
	caller          context.Context //nolint:containedctx // only its values are used
}

func (c flightContext) Value(key any) any { return c.caller.Value(key) }
