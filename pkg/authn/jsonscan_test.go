package authn

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rebuilt takes text apart with the cursor alone.
func rebuilt(t *testing.T, text string) any {
	t.Helper()
	switch text[0] {
	case '{':
		m := map[string]any{}
		for c := inside(text); ; {
			quoted, value, ok := c.member()
			if !ok {
				require.Equal(t, len(text)-1, c.at, "ends at its bracket")
				return m
			}
			name, err := unquote(quoted)
			require.NoError(t, err)
			m[name] = rebuilt(t, value)
		}
	case '[':
		list := []any{}
		for c := inside(text); ; {
			value, ok := c.element()
			if !ok {
				return list
			}
			list = append(list, rebuilt(t, value))
		}
	case '"':
		s, err := unquote(text)
		require.NoError(t, err)
		return s
	default:
		var v any
		require.NoError(t, json.Unmarshal([]byte(text), &v))
		return v
	}
}

// FuzzScan holds the cursor to encoding/json wherever jsontext says valid, and
// everywhere to ending without a panic.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `""`, `0`, `null`, ` { "a" : [ 1 , -2.5e3 , true , null ] , "b\u0061" : { "c" : "\"]}\\" } } `,
		`{"iss":"x","aud":["a","b"],"permissions":{"client_a:b":["r"],"":[]}}`, `[[[]],{"":{}},"\ud83d\ude00"]`,
		`{"a":`, `[`, `"`, `"\`, `{"a" "b"}`, `]`, `:`, "\t[\n1\r]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := trimJSON(string(data))
		if !validJSON(data) {
			if text != "" { // nonsense, but it ends
				for c := inside(text); ; {
					if name, _, ok := c.member(); !ok {
						break
					} else if _, err := unquote(name); err != nil {
						continue
					}
				}
			}
			return
		}
		var want any
		if json.Unmarshal(data, &want) != nil {
			return // a number beyond float64
		}
		require.True(t, reflect.DeepEqual(want, rebuilt(t, text)), "%s", text)
	})
}

func TestReadGrants_SmallAndLarge(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 3, searchFrom - 1, searchFrom, 100} {
		want := map[string][]string{}
		for n := range size {
			key := "type:" + strings.Repeat("z", size-n)
			want[key] = []string{"read", "write"}[:1+n%2]
		}
		raw, err := json.Marshal(want)
		require.NoError(t, err)
		g, err := readGrants(string(raw))
		require.NoError(t, err)
		require.Equal(t, want, g.copied())
		for key, names := range want {
			require.Equal(t, names, g.of(key))
		}
		require.Nil(t, g.of("type:"))
		more := g.with("type:zz", []string{"read", "own"}).with("new", []string{"x"})
		require.Equal(t, want, g.copied(), "unchanged")
		require.Equal(t, []string{"x"}, more.of("new"))
		require.Contains(t, more.of("type:zz"), "own")
	}
	for _, bad := range []string{`[]`, `"x"`, `{"a":"b"}`, `{"a":[1]}`, `{"a":[["b"]]}`, `{"a":null}`} {
		_, err := readGrants(bad)
		require.Error(t, err, bad)
	}
}
