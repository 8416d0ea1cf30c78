package luabox

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// maxDepth of nested values, both ways: a table may contain itself.
const maxDepth = 16

// toLua converts JSON-shaped Go data.
func toLua(state *lua.LState, value any, depth int) (lua.LValue, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: the input is nested too deeply", ErrScript)
	}
	switch v := value.(type) {
	case nil:
		return lua.LNil, nil
	case bool:
		return lua.LBool(v), nil
	case string:
		return lua.LString(v), nil
	case float64:
		return lua.LNumber(v), nil
	case int:
		return lua.LNumber(v), nil
	case int64:
		return lua.LNumber(v), nil
	case []string:
		table := state.NewTable()
		for _, item := range v {
			table.Append(lua.LString(item))
		}
		return table, nil
	case []any:
		table := state.NewTable()
		for _, item := range v {
			converted, err := toLua(state, item, depth+1)
			if err != nil {
				return nil, err
			}
			table.Append(converted)
		}
		return table, nil
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			converted, err := toLua(state, item, depth+1)
			if err != nil {
				return nil, err
			}
			table.RawSetString(key, converted)
		}
		return table, nil
	default:
		return nil, fmt.Errorf("%w: %T cannot be given to a script", ErrScript, value)
	}
}

// fromLua converts a result. A table with a first element is a list.
func fromLua(value lua.LValue, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: the result is nested too deeply", ErrScript)
	}
	switch v := value.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LString:
		return string(v), nil
	case *lua.LTable:
		return fromTable(v, depth)
	default:
		return nil, fmt.Errorf("%w: it returned a %s", ErrScript, value.Type())
	}
}

func fromTable(table *lua.LTable, depth int) (any, error) {
	if n := table.Len(); n > 0 {
		list := make([]any, 0, n)
		for i := 1; i <= n; i++ {
			item, err := fromLua(table.RawGetInt(i), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	}
	object := map[string]any{}
	var fault error
	table.ForEach(func(key, value lua.LValue) {
		item, err := fromLua(value, depth+1)
		if err != nil {
			fault = err
			return
		}
		object[key.String()] = item
	})
	return object, fault
}
