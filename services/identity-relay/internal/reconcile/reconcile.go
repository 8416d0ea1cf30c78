// Package reconcile compares who the services hold data of with who the identity
// provider knows. It is a source of facts like the webhooks, and the one that
// notices what the identity provider does not tell: deletions and bans.
//
// It must never erase somebody who exists. So it reads the services before the
// identity provider (who signs up in between is only in the second list), trusts
// no list that failed or shrank, asks about each missing user alone, twice and a
// grace period apart, and takes nothing but "not found" for an answer.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/identity-relay/internal/relay"
	"github.com/shadowless/shadowless/services/identity-relay/internal/revocations"
	"github.com/shadowless/shadowless/services/identity-relay/internal/userlist"
)

// Settings of the passes.
type Settings struct {
	// Interval between passes; 0: only on request.
	Interval time.Duration
	// Grace between the two look-ups of a missing user.
	Grace time.Duration
	// ShrinkFraction is how much of the last list, and of the users whom the
	// services hold, may be missing before the list is not believed.
	ShrinkFraction float64
	// ShrinkFloor is a number of missing users that is never suspicious.
	ShrinkFloor int
	// Namespace begins the ID of every user whom the list may name. Others are
	// of another issuer: that they are missing here says nothing about them.
	Namespace string
}

// maxInlineGrace is how long a pass itself waits for the second look-up. A
// longer grace is waited out by the passes that follow.
const maxInlineGrace = 15 * time.Second

// Reconciler does one pass at a time.
type Reconciler struct {
	Pool       *pgxpool.Pool
	Users      userlist.Source
	Holders    []Holder
	Recorder   *relay.Recorder
	Tombstones *participant.Tombstones
	Settings   Settings
	Now        func() time.Time
	Log        *slog.Logger

	requests chan request
}

// New completes r.
func New(r Reconciler) *Reconciler {
	r.requests = make(chan request)
	return &r
}

// Errors that make a pass fail; none of them erases anybody.
var (
	ErrEmptyList  = errors.New("the identity provider listed no users")
	ErrShrunk     = errors.New("the identity provider's list is suspiciously short")
	ErrNoHolder   = errors.New("no participant told whom it holds data of")
	ErrInProgress = errors.New("another pass is under way")
)

// Options of one pass.
type Options struct {
	// AcceptShrink believes a list that is suspiciously short: somebody has
	// looked. An empty one is never believed.
	AcceptShrink bool
}

// pass is the state of one.
type pass struct {
	*Reconciler
	options Options
	started time.Time
	result  *Result
	// held are the users whom somebody holds data of, with the set of who does;
	// those that the list names are taken out, and what is left is missing.
	// foreign are held users of other issuers.
	held, foreign map[string]uint32
	sets          *holderSets
	// erased are held users whose erasure was complete.
	erased []again
	// waiting are users whose erasure has asked nobody yet; reappeared are those
	// of them whom the list names.
	waiting    map[string]struct{}
	reappeared []string
	// known are the users who were missing before, with the time of the first
	// "not found"; listedAgain are those of them whom the list names.
	known       map[string]time.Time
	listedAgain []string
	// standing are users whose ban may have changed.
	standing []string
}

func (r *Reconciler) do(ctx context.Context, id uuid.UUID, options Options) Result {
	p := &pass{
		Reconciler: r, options: options, started: r.Now().UTC(), known: map[string]time.Time{},
		held: map[string]uint32{}, foreign: map[string]uint32{}, sets: newHolderSets(), waiting: map[string]struct{}{},
		result: &Result{ID: id, State: Running, StartedAt: r.Now().UTC(), Participants: []ParticipantResult{}},
	}
	err := p.run(ctx)
	finished := r.Now().UTC()
	p.result.FinishedAt, p.result.State = &finished, Finished
	if err != nil {
		p.result.State, p.result.Problem = Failed, problemOf(err)
		r.Log.WarnContext(ctx, "reconciliation failed", "reconciliation_id", id, "cause", err)
	}
	// Also when the service is stopping: what was found must not look running.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := p.save(saving); err != nil {
		r.Log.WarnContext(ctx, "a reconciliation's result was not stored", "reconciliation_id", id, "cause", err)
	}
	return *p.result
}

func (p *pass) run(ctx context.Context) error {
	release, err := p.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := p.save(ctx); err != nil {
		return err
	}
	if err := p.readHolders(ctx); err != nil {
		return err
	}
	if err := p.readList(ctx); err != nil {
		return err
	}
	for _, settle := range []func(context.Context) error{p.settleBans, p.rescue, p.settleErased, p.settleMissing} {
		if err := settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readHolders must come before readList. A participant that does not answer
// makes fewer users missing, never more.
func (p *pass) readHolders(ctx context.Context) error {
	answered := false
	for _, h := range p.Holders {
		n := 0
		err := h.Each(ctx, func(ids []string) {
			n += len(ids)
			for _, id := range ids {
				group := p.held
				if !strings.HasPrefix(id, p.Settings.Namespace) {
					group = p.foreign
				}
				group[id] = p.sets.add(group[id], h.Name())
			}
		})
		told := ParticipantResult{Name: h.Name(), UserIDs: n}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			told.Problem = "did not answer"
			p.Log.WarnContext(ctx, "a participant did not tell its user IDs", "participant", h.Name(), "cause", err)
		}
		answered = answered || err == nil
		p.result.Participants = append(p.result.Participants, told)
	}
	p.result.Held = len(p.held)
	if !answered {
		return ErrNoHolder
	}
	return nil
}

func (p *pass) readList(ctx context.Context) error {
	blocked, err := revocations.Blocked(ctx, p.Pool, revocations.CauseBanned)
	if err != nil {
		return err
	}
	if err := p.readKnown(ctx); err != nil {
		return err
	}
	if err := p.readWaiting(ctx); err != nil {
		return err
	}
	// They are only counted, once each; hashes do for that and take less memory.
	listed, seed := map[uint64]struct{}{}, maphash.MakeSeed()
	err = p.Users.Each(ctx, func(users []userlist.User) error {
		for _, u := range users {
			listed[maphash.String(seed, u.ID)] = struct{}{}
			delete(p.held, u.ID)
			if _, missing := p.known[u.ID]; missing {
				p.listedAgain = append(p.listedAgain, u.ID)
			}
			if _, waits := p.waiting[u.ID]; waits {
				p.reappeared = append(p.reappeared, u.ID)
			}
			if u.Banned != blocked[authn.NewRevocationKey(authn.BlockedUser, u.ID)] {
				p.standing = append(p.standing, u.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.leaveOutOpen(ctx); err != nil {
		return err
	}
	if err := p.leaveOutErased(ctx); err != nil {
		return err
	}
	p.result.Missing = len(p.held)
	return p.believe(ctx, len(listed))
}

// believe refuses a list that is too short to be true.
func (p *pass) believe(ctx context.Context, listed int) error {
	if listed == 0 {
		return ErrEmptyList
	}
	previous, err := p.lastListed(ctx)
	if err != nil {
		return err
	}
	p.result.Listed = listed
	if p.options.AcceptShrink {
		return nil
	}
	tooMany := func(missing, of int) bool {
		return missing > p.Settings.ShrinkFloor && float64(missing) > p.Settings.ShrinkFraction*float64(of)
	}
	if tooMany(previous-listed, previous) {
		return fmt.Errorf("%w: %d users, %d before", ErrShrunk, listed, previous)
	}
	if tooMany(p.result.Missing, p.result.Held) {
		return fmt.Errorf("%w: %d of %d users with data are missing", ErrShrunk, p.result.Missing, p.result.Held)
	}
	return nil
}

// settleBans asks about each user whose ban seems to have changed: the list may
// be older than what a webhook has told since.
func (p *pass) settleBans(ctx context.Context) error {
	for _, userID := range p.standing {
		u, found, err := p.Users.Lookup(ctx, userID)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.result.Unanswered++
			continue
		}
		if !found {
			continue
		}
		fact := relay.StandingFact(userID, relay.Standing{Found: true, Banned: u.Banned}, relay.SourceReconciliation, p.Now())
		outcomes, err := p.Recorder.Submit(ctx, fact)
		if err != nil {
			return fmt.Errorf("record a ban: %w", err)
		}
		if outcomes[0] == relay.Recorded && u.Banned {
			p.result.Banned++
		} else if outcomes[0] == relay.Recorded {
			p.result.Unbanned++
		}
	}
	return nil
}
