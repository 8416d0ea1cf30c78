package zombies

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	shortestModel, longestModel = 16, 80
	// A hundred schedules, rapid's default, in each of so many tests.
	modelTests = 50
)

var (
	errZombie     = errors.New("somebody came back")
	errUnfinished = errors.New("a deletion was not finished")
)

// play runs a schedule and returns what is wrong after a step, or in the end.
func play(m *model, steps []Step) error {
	for i, s := range steps {
		m.step(s)
		if found := m.zombies(); len(found) > 0 {
			return fmt.Errorf("%w after step %d (%s): %v", errZombie, i+1, s, found)
		}
	}
	m.settle()
	if found := m.zombies(); len(found) > 0 {
		return fmt.Errorf("%w in the end: %v", errZombie, found)
	}
	if found := m.unfinished(); len(found) > 0 {
		return fmt.Errorf("%w: %v", errUnfinished, found)
	}
	return nil
}

func TestModel_NobodyComesBack(t *testing.T) {
	t.Parallel()
	for range modelTests {
		rapid.Check(t, func(t *rapid.T) {
			if err := play(newModel(flaws{}), schedule(modelOps, shortestModel, longestModel).Draw(t, "steps")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestModel_CatchesEachFlaw: without any one of the safeguards the property
// fails, so it would notice if the system lacked it.
func TestModel_CatchesEachFlaw(t *testing.T) {
	t.Parallel()
	const tries = 2000
	// A second erasure after a readmission, which chance alone seldom comes to.
	twice := []Step{{Op: Erase}, {Op: Rest}, {Op: Readmit}, {Op: Rest}, {Op: Erase}, {Op: Rest}}
	for name, f := range map[string]flaws{
		"no tombstones":        {noTombstones: true},
		"no locks":             {noLocks: true},
		"one snapshot":         {oneSnapshot: true},
		"trusted events":       {trustedEvents: true},
		"unversioned lift":     {unversionedLift: true},
		"hasty seal":           {hastySeal: true},
		"blind replay":         {blindReplay: true},
		"blind reconciliation": {blindReconciliation: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := schedule(modelOps, shortestModel, longestModel)
			var opening []Step
			if f.unversionedLift {
				opening = twice
			}
			for seed := range tries {
				if err := play(newModel(f), slices.Concat(opening, steps.Example(seed))); errors.Is(err, errZombie) {
					t.Logf("schedule %d: %v", seed+1, err)
					return
				}
			}
			require.Fail(t, "the property holds without this safeguard, so it shows nothing")
		})
	}
}
