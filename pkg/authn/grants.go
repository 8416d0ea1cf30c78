package authn

import (
	"errors"
	"slices"
	"strings"
)

// grants is a permission map: key → names. A token has few keys, and looking
// through them beats building a map for every token; longer lists are sorted.
type grants []grant

type grant struct {
	key   string
	names []string
}

// searchFrom is the length from which grants are sorted and searched.
const searchFrom = 12

func (g grants) of(key string) []string {
	if len(g) < searchFrom {
		for i := range g {
			if g[i].key == key {
				return g[i].names
			}
		}
		return nil
	}
	if i, ok := slices.BinarySearchFunc(g, key, func(e grant, key string) int { return strings.Compare(e.key, key) }); ok {
		return g[i].names
	}
	return nil
}

// sorted puts g into the order that of expects.
func (g grants) sorted() grants {
	if len(g) >= searchFrom {
		slices.SortFunc(g, func(a, b grant) int { return strings.Compare(a.key, b.key) })
	}
	return g
}

// copied is g as a map that shares nothing with it.
func (g grants) copied() map[string][]string {
	if g == nil {
		return nil
	}
	m := make(map[string][]string, len(g))
	for _, e := range g {
		m[e.key] = slices.Clone(e.names)
	}
	return m
}

// with returns g and names under key; g itself stays as it is.
func (g grants) with(key string, names []string) grants {
	union := slices.Clone(g)
	for i, e := range union {
		if e.key != key {
			continue
		}
		all := slices.Clone(e.names)
		for _, n := range names {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		union[i].names = all
		return union
	}
	return append(union, grant{key: key, names: slices.Clone(names)}).sorted()
}

// readGrants reads an object of arrays of strings.
func readGrants(value string) (grants, error) {
	if value[0] != '{' {
		return nil, errors.New("must be an object")
	}
	// Collected on the stack, where they fit, and then copied in their exact size.
	type entry struct {
		key   string
		names int // how many
	}
	var entryBuf [8]entry
	var nameBuf [32]string
	entries, names := entryBuf[:0], nameBuf[:0]
	for c := inside(value); ; {
		quoted, list, ok := c.member()
		if !ok {
			break
		}
		key, err := unquote(quoted)
		if err != nil {
			return nil, err
		}
		if list[0] != '[' {
			return nil, errNotArray
		}
		from := len(names)
		if names, err = appendStrings(names, list); err != nil {
			return nil, err
		}
		entries = append(entries, entry{key: key, names: len(names) - from})
	}
	g, all := make(grants, len(entries)), append([]string(nil), names...)
	for i, e := range entries {
		g[i] = grant{key: e.key, names: all[:e.names:e.names]}
		all = all[e.names:]
	}
	return g.sorted(), nil
}
