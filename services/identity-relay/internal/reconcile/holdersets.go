package reconcile

import "slices"

// holderSets numbers the sets of holders that users have. A million users share
// a handful of them, so a user costs four bytes and not a list of names.
type holderSets struct {
	names [][]string // the first one is empty
	with  map[step]uint32
}

type step struct {
	set    uint32
	holder string
}

func newHolderSets() *holderSets { return &holderSets{names: [][]string{nil}, with: map[step]uint32{}} }

// add returns the set that has the holder as well. Holders must come one after
// the other: a holder that is the last one of the set is in it already.
func (h *holderSets) add(set uint32, holder string) uint32 {
	members := h.names[set]
	if len(members) > 0 && members[len(members)-1] == holder {
		return set
	}
	key := step{set, holder}
	larger, known := h.with[key]
	if !known {
		larger = uint32(len(h.names)) //nolint:gosec // as many as there are combinations of services
		h.names = append(h.names, append(slices.Clip(members), holder))
		h.with[key] = larger
	}
	return larger
}
