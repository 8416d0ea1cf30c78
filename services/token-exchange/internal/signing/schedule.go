package signing

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxAge is how long others may cache the key set.
	MaxAge = 5 * time.Minute
	// AlertMaxAge takes its place for AlertFor after an emergency rotation: who
	// had to end keys once may have to do it again soon.
	AlertMaxAge = 15 * time.Second
	AlertFor    = time.Hour

	minEmergencyLead = time.Second
)

// Schedule is when keys come and go.
type Schedule struct {
	Algorithm    string        // of new keys
	RotateEvery  time.Duration // how long a key signs
	RetainFor    time.Duration // how long it is published after its successor took over
	PublishAhead time.Duration // how long it is published before it signs
	// EmergencyLead is how long after the command an emergency rotation takes
	// effect, on every replica at once. No replica signs that has read the keys
	// longer ago than this, so none can miss it: it must be the same on all.
	EmergencyLead time.Duration
}

// ReadEvery is how often a replica must read the keys to keep signing, and to
// know of another's emergency rotation well before it takes effect.
func (s Schedule) ReadEvery() time.Duration { return s.EmergencyLead / 5 }

// emergency reports whether a key was made by an emergency rotation: no other
// key waits so shortly to sign.
func (r Record) emergency() bool {
	wait := r.ActivatesAt.Sub(r.CreatedAt)
	return wait > 0 && wait < 2*MaxAge
}

// Faults lists what is wrong with the schedule. minLife is the longest life of
// a token.
func (s Schedule) Faults(minLife time.Duration) []error {
	var faults []error
	if !slices.Contains(Algorithms, s.Algorithm) {
		faults = append(faults, fmt.Errorf("signing algorithm %q is none of %q", s.Algorithm, Algorithms))
	}
	if s.PublishAhead < 2*MaxAge {
		faults = append(faults, fmt.Errorf("keys must be published at least %s before they sign: others cache the key set for %s", 2*MaxAge, MaxAge))
	}
	if s.RotateEvery <= s.PublishAhead {
		faults = append(faults, errors.New("keys must sign for longer than they are published ahead"))
	}
	if s.EmergencyLead < minEmergencyLead || s.EmergencyLead > MaxAge {
		faults = append(faults, fmt.Errorf("an emergency rotation must take effect between %s and %s after the command", minEmergencyLead, MaxAge))
	}
	if s.RetainFor < minLife+MaxAge {
		faults = append(faults, fmt.Errorf("keys must be kept for at least %s: tokens that they signed live that long", minLife+MaxAge))
	}
	return faults
}

// plan decides what a rotation does: whether a key is made, from when it
// signs, and which are removed. keys are in the order in which they sign.
func (s Schedule) plan(keys []Record, now time.Time) (activates time.Time, create bool, remove []string) {
	var kept []Record
	for _, k := range keys {
		if k.retired(now) {
			remove = append(remove, k.KeyID)
		} else if k.RetiresAt.IsZero() {
			kept = append(kept, k)
		}
	}
	for i := range kept {
		if i+1 < len(kept) && !kept[i+1].ActivatesAt.Add(s.RetainFor).After(now) {
			remove = append(remove, kept[i].KeyID)
		}
	}
	if len(kept) == 0 {
		// Nobody has a key set of ours yet: nothing to wait for.
		return now, true, remove
	}
	newest := kept[len(kept)-1]
	due := newest.ActivatesAt.Add(s.RotateEvery)
	if newest.Algorithm != s.Algorithm {
		due = now
	}
	if now.Before(due.Add(-s.PublishAhead)) {
		return time.Time{}, false, remove
	}
	// A service that was down when the successor was due still publishes first.
	earliest := now.Add(s.PublishAhead)
	if due.After(earliest) {
		earliest = due
	}
	return earliest, true, remove
}
