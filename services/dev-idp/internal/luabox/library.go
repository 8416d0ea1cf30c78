package luabox

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// What scripts may call. Functions whose cost one instruction does not bound
// are absent: string.rep, string.format, the pattern functions and table.concat.
var (
	allowedBase = map[string]bool{
		"assert": true, "error": true, "ipairs": true, "next": true, "pairs": true, "pcall": true,
		"select": true, "tonumber": true, "tostring": true, "type": true, "unpack": true, "_VERSION": true, "_G": true,
	}
	allowedString = map[string]bool{"byte": true, "char": true, "len": true, "lower": true, "sub": true, "upper": true}
	allowedTable  = map[string]bool{"insert": true, "remove": true, "sort": true, "getn": true, "maxn": true}
)

func openSafe(state *lua.LState) {
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.StringLibName: lua.OpenString,
		lua.TabLibName: lua.OpenTable, lua.MathLibName: lua.OpenMath,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	keep(state.G.Global, allowedBase, "string", "table", "math")
	keep(state.GetGlobal("string"), allowedString)
	keep(state.GetGlobal("table"), allowedTable)
}

// keep removes every other name from the table.
func keep(value lua.LValue, allowed map[string]bool, more ...string) {
	table, ok := value.(*lua.LTable)
	if !ok {
		return
	}
	var drop []lua.LValue
	table.ForEach(func(key, _ lua.LValue) {
		name := key.String()
		if slices.Contains(more, name) {
			return
		}
		if !allowed[name] {
			drop = append(drop, key)
		}
	})
	for _, key := range drop {
		table.RawSet(key, lua.LNil)
	}
}
