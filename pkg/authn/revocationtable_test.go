package authn

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTable() *revocationTable {
	t := &revocationTable{}
	t.init()
	return t
}

func (t *revocationTable) get(key RevocationKey) (revocationEntry, bool) {
	s := t.search(key)
	if s.absent() {
		return revocationEntry{}, false
	}
	return s.find()
}

func keyOf(n uint64) (key RevocationKey) {
	binary.LittleEndian.PutUint64(key[:], n)
	return key
}

// Whatever is done, the table answers as a map does.
func TestRevocationTable_AnswersAsAMap(t *testing.T) {
	t.Parallel()
	table, model := newTable(), map[RevocationKey]revocationEntry{}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 20_000 {
		key := keyOf(r.Uint64N(4_000))
		switch what := r.IntN(1000); {
		case what < 600:
			e := revocationEntry{before: r.Uint32N(1000), expires: r.Uint32N(1000)}
			if e.expires == gone {
				e.expires++
			}
			table.add(key, e)
			if old, ok := model[key]; ok {
				e.before = max(e.before, old.before)
				if old.expires == 0 || e.expires == 0 {
					e.expires = 0
				} else {
					e.expires = max(e.expires, old.expires)
				}
			}
			model[key] = e
		case what < 998:
			table.remove(key)
			delete(model, key)
		default:
			limit := r.Uint32N(300)
			if step%3 == 0 {
				limit = 2000 // nearly everything
			}
			table.sweep(limit)
			for k, e := range model {
				if e.expires != 0 && e.expires < limit {
					delete(model, k)
				}
			}
		}
	}
	require.EqualValues(t, len(model), table.live.Load())
	for n := range uint64(4_000) {
		want, known := model[keyOf(n)]
		got, ok := table.get(keyOf(n))
		require.Equal(t, known, ok)
		if ok {
			require.Equal(t, want, got)
		}
	}
}

func TestRevocationTable_GivesMemoryBack(t *testing.T) {
	t.Parallel()
	table := newTable()
	for n := range uint64(20_000) {
		table.add(keyOf(n), revocationEntry{before: noTime, expires: 100})
	}
	slots := func() (n int) {
		for i := range table.shards {
			n += len(table.shards[i].groups.Load().slots)
		}
		return n
	}
	require.Less(t, slots(), 2*20_000, "25 bytes each: at most 50 for an entry")
	table.sweep(101)
	require.Zero(t, table.live.Load())
	require.LessOrEqual(t, slots(), revocationShards*revocationWays)
	// Keys that come and go do not add up.
	for n := range uint64(50_000) {
		table.add(keyOf(n), revocationEntry{before: noTime})
		table.remove(keyOf(n))
	}
	require.LessOrEqual(t, slots(), 16*revocationShards*revocationWays)
}

// While the writer adds, sweeps and rebuilds, readers find each key that was
// there before they looked.
func TestRevocationTable_ReadersMissNothing(t *testing.T) {
	t.Parallel()
	const keys = 8_000
	table := newTable()
	var added atomic.Uint64
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				n := added.Load()
				if n == keys {
					return
				}
				if n == 0 {
					continue
				}
				key := rand.Uint64N(n)
				if e, ok := table.get(keyOf(key)); !ok || e.before != uint32(key) {
					t.Errorf("key %d of %d: %v %v", key, n, e, ok)
					return
				}
			}
		})
	}
	for n := range uint64(keys) {
		table.add(keyOf(n), revocationEntry{before: uint32(n)})
		added.Store(n + 1)
		table.add(keyOf(keys+n), revocationEntry{expires: 50}) // to be swept
		if n%1000 == 0 {
			table.sweep(60)
		}
	}
	wg.Wait()
}

// A repeated token skips the list only as long as nothing was added.
func TestRevocationList_RepeatedTokenSeesEachChange(t *testing.T) {
	t.Parallel()
	list := NewRevocationList(RevocationListOptions{})
	p := &Principal{tokenID: "j", sessionID: "s", userID: "u", clientID: "c", ancestors: []string{"a", "b", "d"}}
	checks := revocationChecks(p)
	var clearAt atomic.Uint64
	other := 0
	for _, r := range []struct {
		kind RevocationKind
		id   string
	}{
		{RevokedToken, "j"}, {RevokedToken, "a"}, {RevokedToken, "d"}, {RevokedSession, "s"},
		{RevokedUser, "u"}, {BlockedUser, "u"}, {RevokedClient, "c"},
	} {
		for range 3 { // asked several times, so that the skip is taken
			require.NoError(t, list.checkAgain(checks, &clearAt))
		}
		other++
		list.Apply(Revocation{Kind: RevokedToken, Key: keyOf(uint64(other))})
		require.NoError(t, list.checkAgain(checks, &clearAt))
		revoked := Revocation{Kind: r.kind, Key: NewRevocationKey(r.kind, r.id), Before: time.Now()}
		list.Apply(revoked)
		require.ErrorIs(t, list.checkAgain(checks, &clearAt), ErrRevoked)
		require.ErrorIs(t, list.checkAgain(checks, &clearAt), ErrRevoked)
		revoked.Lifted = true
		list.Apply(revoked)
	}
}

// Whoever verifies after Apply has returned sees what was applied, however
// many verify meanwhile.
func TestRevocationList_NoChangeIsLost(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		list := NewRevocationList(RevocationListOptions{})
		list.Apply(Revocation{Kind: RevokedToken, Key: keyOf(uint64(n))})
		checks := revocationChecks(&Principal{tokenID: "j", sessionID: "s"})
		var clearAt atomic.Uint64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 100 {
					_ = list.checkAgain(checks, &clearAt)
				}
			})
		}
		list.Apply(Revocation{Kind: RevokedSession, Key: NewRevocationKey(RevokedSession, "s")})
		require.ErrorIs(t, list.checkAgain(checks, &clearAt), ErrRevoked)
		wg.Wait()
		require.ErrorIs(t, list.checkAgain(checks, &clearAt), ErrRevoked)
	}
}
