// Package luabox runs small Lua scripts that cannot reach the machine: no os,
// io, package or debug library, a budget of instructions, a deadline, a bounded
// stack and bounded strings.
package luabox

import (
	"context"
	"errors"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Limits of one run.
const (
	MaxInstructions = 100_000
	MaxDuration     = 2 * time.Second
	MaxString       = 64 << 10 // bytes
	maxRegistry     = 16 << 10 // slots
	maxCalls        = 100
)

// Errors of a run. ErrScript wraps what the script itself did wrong.
var (
	ErrInstructions = errors.New("the script used up its instructions")
	ErrString       = errors.New("the script made a string that is too long")
	ErrScript       = errors.New("the script failed")
)

// Script is compiled once and run many times, by many goroutines.
type Script struct {
	proto *lua.FunctionProto
}

// Compile reports syntax errors by name.
func Compile(name, source string) (*Script, error) {
	chunk, err := parse.Parse(newReader(source), name)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	proto, err := lua.Compile(chunk, name)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	return &Script{proto: proto}, nil
}

// Run gives the script the global `context` and returns its one result as Go
// data: nil, bool, float64, string, []any or map[string]any. An empty table is
// an empty map[string]any.
func (s *Script) Run(ctx context.Context, input map[string]any) (result any, err error) {
	state := lua.NewState(lua.Options{
		SkipOpenLibs: true, CallStackSize: maxCalls,
		RegistrySize: 1 << 10, RegistryMaxSize: maxRegistry, RegistryGrowStep: 1 << 10,
	})
	defer state.Close()
	openSafe(state)
	value, err := toLua(state, input, 0)
	if err != nil {
		return nil, err
	}
	state.SetGlobal("context", value)

	ctx, cancel := context.WithTimeout(ctx, MaxDuration)
	defer cancel()
	meter := newMeter(ctx, state)
	state.SetContext(meter)

	// gopher-lua panics when the registry is full.
	defer func() {
		if fault := recover(); fault != nil {
			result, err = nil, fmt.Errorf("%w: %v", ErrScript, fault)
		}
	}()
	state.Push(state.NewFunctionFromProto(s.proto))
	if err := state.PCall(0, 1, nil); err != nil {
		if cause := meter.Err(); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("%w: %w", ErrScript, err)
	}
	return fromLua(state.Get(-1), 0)
}
