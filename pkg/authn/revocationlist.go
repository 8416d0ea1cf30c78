package authn

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// noTime marks entries that kill whatever carries the ID, however young.
const noTime = math.MaxUint32

// sweepEvery is how often Apply forgets expired entries. A look-up ignores
// them at once.
const sweepEvery = time.Minute

// Apply adds or lifts revocations. Of two with the same key the later T and
// the later expiry hold, so order and repetition do not matter except for
// Lifted. An entry of unknown kind is ignored.
func (l *RevocationList) Apply(rs ...Revocation) {
	now := l.now()
	l.mu.Lock()
	for _, r := range rs {
		l.applyLocked(r)
	}
	if now.Sub(l.swept) >= sweepEvery {
		l.swept = now
		l.entries.sweep(unixUp(now))
	}
	l.mu.Unlock()

	l.hooksMu.RLock()
	hooks := l.hooks
	l.hooksMu.RUnlock()
	for _, hook := range hooks {
		for _, r := range rs {
			hook(r)
		}
	}
}

func (l *RevocationList) applyLocked(r Revocation) {
	if r.Lifted {
		l.entries.remove(r.Key)
		return
	}
	var e revocationEntry
	switch r.Kind {
	case RevokedUser, RevokedClient:
		e.before = unixUp(r.Before)
	case RevokedToken, RevokedSession, BlockedUser:
		e.before = noTime
	default:
		return
	}
	if !r.Expires.IsZero() {
		e.expires = max(unixUp(r.Expires), gone+1)
	}
	l.entries.add(r.Key, e)
	l.changes.Add(1) // after the entry can be found
}

// MarkLoaded says that the feed has delivered everything there was.
func (l *RevocationList) MarkLoaded() { l.loaded.Store(true) }

// Loaded reports whether MarkLoaded was called.
func (l *RevocationList) Loaded() bool { return l.loaded.Load() }

// Heartbeat says that at this time the source was heard from. A time in the
// future counts as now; the clock never goes back.
func (l *RevocationList) Heartbeat(at time.Time) {
	if now := l.now(); at.After(now) {
		at = now
	}
	beat := at.UnixNano()
	for {
		old := l.heartbeat.Load()
		if beat <= old || l.heartbeat.CompareAndSwap(old, beat) {
			return
		}
	}
}

// Staleness is the time since the last heartbeat; the longest duration there
// is before the first.
func (l *RevocationList) Staleness() time.Duration {
	beat := l.heartbeat.Load()
	if beat == 0 {
		return math.MaxInt64
	}
	return max(0, l.now().Sub(time.Unix(0, beat)))
}

// Fresh returns ErrStale unless the list is loaded and was heard of within
// limit. A limit of 0 or less means DefaultMaxStaleness.
func (l *RevocationList) Fresh(limit time.Duration) error {
	if limit <= 0 {
		limit = DefaultMaxStaleness
	}
	if !l.Loaded() {
		return fmt.Errorf("%w: not loaded", ErrStale)
	}
	if s := l.Staleness(); s > limit {
		return fmt.Errorf("%w: last heard of %s ago, limit %s", ErrStale, s.Round(time.Millisecond), limit)
	}
	return nil
}

// Len is the number of entries, expired ones that were not swept yet included.
func (l *RevocationList) Len() int { return int(l.entries.live.Load()) }

// OnRevoke registers hook to be called after each applied revocation, in the
// goroutine of Apply; it must return quickly.
func (l *RevocationList) OnRevoke(hook func(Revocation)) {
	l.hooksMu.Lock()
	defer l.hooksMu.Unlock()
	l.hooks = append(slices.Clip(l.hooks), hook)
}

// Check returns ErrRevoked if anything revokes p: its token ID or an
// ancestor's, its session, its user, or a client on its way. It takes no lock
// and never waits for Apply.
func (l *RevocationList) Check(p *Principal) error { return l.check(p.checks) }

func (l *RevocationList) check(checks []revocationCheck) error {
	if l.entries.live.Load() == 0 {
		return nil
	}
	for len(checks) > 0 {
		n := min(len(checks), revocationBatch)
		if l.anyDead(checks[:n]) {
			return ErrRevoked
		}
		checks = checks[n:]
	}
	return nil
}

// checkAgain is check for somebody who remembers when it last found nothing:
// until something is added, it will find nothing again. A change between the
// two reads below is one that the next call looks for.
func (l *RevocationList) checkAgain(checks []revocationCheck, clearAt *atomic.Uint64) error {
	now := l.changes.Load() + 1
	if clearAt.Load() == now {
		return nil
	}
	if err := l.check(checks); err != nil {
		return err
	}
	clearAt.Store(now)
	return nil
}

// anyDead looks up a batch.
func (l *RevocationList) anyDead(checks []revocationCheck) bool {
	// All first words are asked for before the first is needed: most keys are
	// not in the list, and then waiting for memory is all that this costs.
	var searches [revocationBatch]revocationSearch
	for i := range checks {
		searches[i] = l.entries.search(checks[i].key)
	}
	for i := range checks {
		if searches[i].absent() {
			continue
		}
		e, ok := searches[i].find()
		// The clock is read only for an entry that would kill the token.
		if ok && checks[i].at <= e.before && (e.expires == 0 || unixDown(l.now()) < e.expires) {
			return true
		}
	}
	return false
}

// revocationChecks hashes once, on the cold path, what Check looks up.
func revocationChecks(p *Principal) []revocationCheck {
	return appendRevocationChecks(make([]revocationCheck, 0, 5+len(p.ancestors)), p)
}

func appendRevocationChecks(checks []revocationCheck, p *Principal) []revocationCheck {
	originally, issued := unixDown(p.originally), unixDown(p.issuedAt)
	add := func(kind RevocationKind, id string, at uint32) {
		if id != "" {
			checks = append(checks, revocationCheck{key: NewRevocationKey(kind, id), at: at})
		}
	}
	add(RevokedToken, p.tokenID, 0)
	for _, id := range p.ancestors {
		add(RevokedToken, id, 0)
	}
	add(RevokedSession, p.sessionID, 0)
	add(RevokedUser, p.userID, originally)
	add(BlockedUser, p.userID, 0)
	// The client itself fetched this token at `iat`. When an earlier actor
	// fetched the token behind it is not known, so the chain's start counts.
	add(RevokedClient, p.clientID, issued)
	for a := p.actor; a != nil; a = a.actor {
		if a.clientID != p.clientID {
			add(RevokedClient, a.clientID, originally)
		}
	}
	return checks
}

func unixUp(t time.Time) uint32 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return clampSeconds(s)
}

func unixDown(t time.Time) uint32 { return clampSeconds(t.Unix()) }

func clampSeconds(s int64) uint32 {
	return uint32(min(max(s, 0), noTime-1))
}
