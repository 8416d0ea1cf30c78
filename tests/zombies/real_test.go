package zombies

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	ordersapi "github.com/shadowless/shadowless/services/orders/api"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	shortestReal, longestReal = 4, 14

	userErased = "user-erased" // orders' refusal
)

func TestSystem_NobodyComesBack(t *testing.T) {
	t.Parallel()
	for range systems {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			live(t)
		})
	}
}

// live runs a hundred schedules, rapid's default, against one system.
func live(t *testing.T) {
	t.Helper()
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		l := &life{system: s, people: [2]*person{s.newPerson(), s.newPerson()}}
		defer l.drop()
		if err := l.play(schedule(realOps, shortestReal, longestReal).Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
	})
}

// play runs a schedule to its end, looking after every step.
func (l *life) play(steps []Step) error {
	for i, s := range append(steps, Step{Op: Rest}) {
		err := l.step(s)
		if err == nil {
			err = l.look()
		}
		if err != nil {
			return fmt.Errorf("after step %d (%s): %w", i+1, s, err)
		}
	}
	return l.finished()
}

// finished holds every deletion to its receipts and every readmission to its word.
func (l *life) finished() error {
	for _, p := range l.people {
		for at := range names {
			dead, _, err := l.dead(at, p)
			switch {
			case err != nil:
				return err
			case p.erasure != "" && !p.readmitted && !dead:
				return fmt.Errorf("%w: %s has not answered", errUnfinished, names[at])
			}
		}
		// After a crash a request may fail for other reasons; it is repeated then.
		refused := false
		key := uuid.NewString()
		err := l.until("an order to be answered", func() bool {
			r := l.place(p, key)
			<-r.done
			var refusal *ordersapi.Error
			refused = errors.As(r.err, &refusal) && refusal.Code == userErased
			return refused || r.err == nil
		})
		if err != nil {
			return err
		}
		if refused != (p.erasure != "" && !p.readmitted) {
			return fmt.Errorf("%w: an order of a user was refused: %t", errUnfinished, refused)
		}
	}
	return l.look()
}

func (l *life) look() error {
	found, err := l.zombies(l.people[:]...)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: %v", errZombie, found)
	}
	return err
}
