package luabox

import (
	"context"
	"io"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// meter is the context that the interpreter asks before every instruction. That
// makes it the place to count them and to look at what the last one produced:
// the interpreter has no limits of its own, and a deadline alone would let a
// script double a string until the memory is gone.
type meter struct {
	context.Context //nolint:containedctx // it is a context itself
	state           *lua.LState
	spent           int
	closed          chan struct{}
	cause           error
}

func newMeter(ctx context.Context, state *lua.LState) *meter {
	closed := make(chan struct{})
	close(closed)
	return &meter{Context: ctx, state: state, closed: closed}
}

// Done is called once per instruction, by the goroutine that runs the script.
func (m *meter) Done() <-chan struct{} {
	m.spent++
	if m.cause == nil && m.spent > MaxInstructions {
		m.cause = ErrInstructions
	}
	if m.cause == nil && m.oversized() {
		m.cause = ErrString
	}
	if m.cause != nil {
		return m.closed
	}
	return m.Context.Done()
}

// Err tells why the script was stopped.
func (m *meter) Err() error {
	if m.cause != nil {
		return m.cause
	}
	return m.Context.Err()
}

func (m *meter) oversized() bool {
	for i, top := 1, m.state.GetTop(); i <= top; i++ {
		if s, ok := m.state.Get(i).(lua.LString); ok && len(s) > MaxString {
			return true
		}
	}
	return false
}

func newReader(source string) io.Reader { return strings.NewReader(source) }
