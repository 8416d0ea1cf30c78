package authn

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// revocationEntry is what the list holds under a key.
type revocationEntry struct {
	before  uint32 // Unix seconds; all ones for kinds that have no T
	expires uint32 // Unix seconds; 0 for never
}

// gone is the expiry of entries that were taken away: it passed long ago.
const gone = 1

func (e revocationEntry) word() uint64 { return uint64(e.before)<<32 | uint64(e.expires) }

func entryOf(word uint64) revocationEntry {
	return revocationEntry{before: uint32(word >> 32), expires: uint32(word)} //nolint:gosec // the lower half is meant
}

const (
	revocationShards = 64
	// An eighth of a group's memory is tags, so that most keys that are not
	// there are told from those that are by one word, of memory small enough
	// to stay near the processor.
	revocationWays = 8
	// A shard is rebuilt when it is three quarters full and is then half full:
	// 33 to 50 bytes for an entry, and most look-ups end in the first group.
	maxRevocationFill = 0.75
	newRevocationFill = 0.54
)

// revocationTable maps revocation keys to entries for one writer and any number
// of readers. Readers take no lock: a slot's key never changes once its tag is
// set, its entry is one atomic word, and a table that is full or mostly dead is
// replaced by a new one. It is split into shards, so that this holds up the
// writer for a millisecond, not for the time that a million entries take.
type revocationTable struct {
	seed   [2]uint64
	shards [revocationShards]revocationShard
	live   atomic.Int64
}

type revocationShard struct {
	groups     atomic.Pointer[revocationGroups]
	used, live int // the writer's; used counts slots that are gone too
}

// revocationGroups is an open-addressing hash table with groups of eight slots.
type revocationGroups struct {
	tags  []atomic.Uint64 // one for each group: a byte of the hash for each slot, 0 if free
	slots []revocationSlot
}

type revocationSlot struct{ a, b, entry atomic.Uint64 }

func (t *revocationTable) init() {
	t.seed = [2]uint64{rand.Uint64(), rand.Uint64()} //nolint:gosec // ChaCha8 seeded by the system, and never shown
	for i := range t.shards {
		t.shards[i].groups.Store(&revocationGroups{tags: make([]atomic.Uint64, 1), slots: make([]revocationSlot, revocationWays)})
	}
}

// place is where a key is looked for.
type place struct {
	a, b, hash uint64 // the key's two words, and their hash
}

// placeOf hashes with a seed, so that nobody can make keys that collide.
func (t *revocationTable) placeOf(key RevocationKey) place {
	a, b := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	return t.placeOfWords(a, b)
}

func (t *revocationTable) placeOfWords(a, b uint64) place {
	hi, lo := bits.Mul64(a^t.seed[0], b^t.seed[1])
	return place{a: a, b: b, hash: hi ^ lo ^ a}
}

func (t *revocationTable) shard(p place) *revocationShard {
	return &t.shards[p.hash>>(64-6)]
}

// revocationBatch is how many keys are looked up together.
const revocationBatch = 8

// revocationSearch is a look-up under way.
type revocationSearch struct {
	place  place
	groups *revocationGroups
	tags   uint64 // of the first group
}

func (t *revocationTable) search(key RevocationKey) revocationSearch {
	p := t.placeOf(key)
	g := t.shard(p).groups.Load()
	return revocationSearch{place: p, groups: g, tags: g.tags[g.first(p)].Load()}
}

// absent reports whether the first group says that the key is not there.
func (s *revocationSearch) absent() bool {
	return s.tags&highBits != highBits && matching(s.tags, tagOf(s.place.hash)) == 0
}

// find returns the entry, expired or not.
func (s *revocationSearch) find() (revocationEntry, bool) {
	slot := s.groups.find(s.place)
	if slot == nil {
		return revocationEntry{}, false
	}
	e := entryOf(slot.entry.Load())
	return e, e.expires != gone
}

// first is the group where the search for p begins.
func (g *revocationGroups) first(p place) int {
	hi, _ := bits.Mul64(p.hash<<6, uint64(len(g.tags)))
	return int(hi) //nolint:gosec // below the number of tags
}

func (g *revocationGroups) find(p place) *revocationSlot {
	n := g.first(p)
	for range g.tags {
		word := g.tags[n].Load()
		for m := matching(word, tagOf(p.hash)); m != 0; m &= m - 1 {
			slot := &g.slots[n*revocationWays+bits.TrailingZeros64(m)/8]
			if slot.a.Load() == p.a && slot.b.Load() == p.b {
				return slot
			}
		}
		if word&highBits != highBits {
			return nil // a free slot: the search would have ended here
		}
		if n++; n == len(g.tags) {
			n = 0
		}
	}
	return nil
}

// insert adds a key that is not there, to a table with a free slot.
func (g *revocationGroups) insert(p place, entry uint64) {
	n := g.first(p)
	word := g.tags[n].Load()
	for word&highBits == highBits {
		if n++; n == len(g.tags) {
			n = 0
		}
		word = g.tags[n].Load()
	}
	way := bits.TrailingZeros64(^word&highBits) / 8
	slot := &g.slots[n*revocationWays+way]
	slot.a.Store(p.a)
	slot.b.Store(p.b)
	slot.entry.Store(entry)
	g.tags[n].Store(word | tagOf(p.hash)<<(8*way)) // from here on readers find it
}

// add enters e. Of two under one key the later T and the later expiry hold.
// The caller is the only writer.
func (t *revocationTable) add(key RevocationKey, e revocationEntry) {
	p := t.placeOf(key)
	s := t.shard(p)
	if slot := s.groups.Load().find(p); slot != nil {
		old := entryOf(slot.entry.Load())
		switch {
		case old.expires == gone:
			t.count(s, 1)
		case old.expires == 0 || e.expires == 0:
			e.before, e.expires = max(e.before, old.before), 0
		default:
			e.before, e.expires = max(e.before, old.before), max(e.expires, old.expires)
		}
		slot.entry.Store(e.word())
		return
	}
	if float64(s.used+1) > maxRevocationFill*float64(len(s.groups.Load().slots)) {
		t.rebuild(s)
	}
	s.groups.Load().insert(p, e.word())
	s.used++
	t.count(s, 1)
}

func (t *revocationTable) count(s *revocationShard, n int) {
	s.live += n
	t.live.Add(int64(n))
}

// remove takes key away. Its slot stays, for readers on their way.
func (t *revocationTable) remove(key RevocationKey) {
	p := t.placeOf(key)
	s := t.shard(p)
	if slot := s.groups.Load().find(p); slot != nil {
		t.takeAway(s, slot)
	}
}

func (t *revocationTable) takeAway(s *revocationShard, slot *revocationSlot) {
	e := entryOf(slot.entry.Load())
	if e.expires == gone {
		return
	}
	e.expires = gone
	slot.entry.Store(e.word())
	t.count(s, -1)
}

// sweep takes away what expired before limit, and gives back the memory of
// shards that have become mostly empty.
func (t *revocationTable) sweep(limit uint32) {
	for i := range t.shards {
		s := &t.shards[i]
		g := s.groups.Load()
		for n := range g.slots {
			if e := entryOf(g.slots[n].entry.Load()); e.expires != 0 && e.expires < limit {
				t.takeAway(s, &g.slots[n])
			}
		}
		if s.used-s.live > len(g.slots)/4 {
			t.rebuild(s)
		}
	}
}

// rebuild replaces the shard's table by one that holds what is live, with room.
func (t *revocationTable) rebuild(s *revocationShard) {
	old := s.groups.Load()
	n := int(float64(s.live+1)/newRevocationFill)/revocationWays + 1
	next := &revocationGroups{tags: make([]atomic.Uint64, n), slots: make([]revocationSlot, n*revocationWays)}
	for i := range old.slots {
		slot := &old.slots[i]
		word := slot.entry.Load()
		free := old.tags[i/revocationWays].Load()>>(i%revocationWays*8)&0xff == 0
		if free || entryOf(word).expires == gone {
			continue
		}
		next.insert(t.placeOfWords(slot.a.Load(), slot.b.Load()), word)
	}
	s.used = s.live
	s.groups.Store(next)
}
