package luabox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/luabox"
)

func run(t *testing.T, source string, input map[string]any) (any, error) {
	t.Helper()
	script, err := luabox.Compile("test", source)
	require.NoError(t, err)
	return script.Run(context.Background(), input)
}

func TestRunReturnsGoData(t *testing.T) {
	t.Parallel()
	got, err := run(t, `return {list = {1, "two", true}, empty = {}, who = context.user.id}`, map[string]any{"user": map[string]any{"id": "u-1"}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"list": []any{1.0, "two", true}, "empty": map[string]any{}, "who": "u-1"}, got)
}

func TestSyntaxErrorsAreFoundAtCompileTime(t *testing.T) {
	t.Parallel()
	_, err := luabox.Compile("broken", "return (")
	require.ErrorContains(t, err, "broken")
}

func TestScriptsCannotReachTheMachine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"os", "io", "package", "debug", "coroutine", "channel", "require", "dofile", "loadfile", "load", "loadstring",
		"print", "collectgarbage", "newproxy", "getfenv", "setfenv", "getmetatable", "setmetatable", "module", "rawset",
		"string.rep", "string.format", "string.find", "string.gsub", "string.dump", "table.concat",
	} {
		got, err := run(t, "return "+name+" == nil", nil)
		require.NoError(t, err, name)
		require.Equal(t, true, got, name)
	}
}

func TestRunStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source string
		want   error
	}{
		"an infinite loop":             {`while true do end`, luabox.ErrInstructions},
		"a loop that catches errors":   {`while true do pcall(function() while true do end end) end`, luabox.ErrInstructions},
		"a string that doubles":        {`local s = "x" while true do s = s .. s end`, luabox.ErrString},
		"endless recursion":            {`local function f() return 1 + f() end return f()`, luabox.ErrScript},
		"a stack that grows":           {`local t = {} for i = 1, 20000 do t[i] = i end return select("#", unpack(t))`, luabox.ErrScript},
		"an error of its own":          {`error("no")`, luabox.ErrScript},
		"an absent field":              {`return context.missing.field`, luabox.ErrScript},
		"a function as its result":     {`return function() end`, luabox.ErrScript},
		"a table that contains itself": {`local t = {} t.t = t return t`, luabox.ErrScript},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, test.source, map[string]any{})
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	t.Parallel()
	script, err := luabox.Compile("test", `return true`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = script.Run(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}
