package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/identity-relay/internal/eventlog"
)

const (
	// together bounds how many submissions share a transaction.
	together = 64
	// groupTimeout bounds one such transaction: it belongs to none of its
	// submitters, so none of them can end it.
	groupTimeout = 10 * time.Second
)

// work is one submission's part of a transaction. It returns events that are to be
// told, and may be called again if the transaction fails.
type work func(ctx context.Context, tx pgx.Tx) ([]eventlog.Draft, error)

// group commits what is submitted at the same time in one transaction. Versions
// are given one after another, so a commit of its own for each submission would
// make the disk's latency the limit of all. The zero value is ready.
type group struct {
	once sync.Once
	turn chan struct{} // held by the one who commits for everybody

	mu    sync.Mutex
	queue []*submission
}

type submission struct {
	// about is whom or what it changes. Two about the same never share a
	// transaction, so each sees what the one before it has done.
	about string
	ctx   context.Context //nolint:containedctx // it may have to run alone, and then under its own
	work  work
	done  chan struct{}
	err   error
}

// submit returns when the work is committed, or why it is not. Whoever finds
// nobody committing does it for all who wait.
func (g *group) submit(ctx context.Context, pool *pgxpool.Pool, about string, w work) error {
	g.once.Do(func() { g.turn = make(chan struct{}, 1) })
	s := &submission{about: about, ctx: ctx, work: w, done: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, s)
	g.mu.Unlock()
	for {
		select {
		case <-s.done:
			return s.err
		case <-ctx.Done():
			if g.leave(s) {
				return context.Cause(ctx)
			}
			<-s.done // somebody is committing it
			return s.err
		case g.turn <- struct{}{}:
			g.commit(ctx, pool)
		}
	}
}

// leave takes a submission back that nobody has begun to commit.
func (g *group) leave(s *submission) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, s)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}

// take returns those who go next: the first to come about each, sorted by whom they
// are about. Each locks its user, and rekeyings and replays lock several in this
// order; in one order nobody waits in a circle.
func (g *group) take() []*submission {
	g.mu.Lock()
	defer g.mu.Unlock()
	var next, rest []*submission
	about := map[string]bool{}
	for _, s := range g.queue {
		if len(next) == together || about[s.about] {
			rest = append(rest, s)
		} else {
			next = append(next, s)
		}
		about[s.about] = true
	}
	g.queue = rest
	slices.SortFunc(next, func(a, b *submission) int { return strings.Compare(a.about, b.about) })
	return next
}

var (
	// errWork marks an error that is perhaps one submission's alone.
	errWork      = errors.New("work failed")
	errAbandoned = errors.New("the transaction was abandoned")
)

// commit ends the turn of whoever has it: it runs those who go next in one
// transaction or, if one of them fails, each in one of its own, so that nobody
// fails for another.
func (g *group) commit(ctx context.Context, pool *pgxpool.Pool) {
	next := g.take()
	// Deferred, so that a panic leaves nobody waiting.
	defer func() {
		for _, s := range next {
			close(s.done)
		}
		<-g.turn
	}()
	for _, s := range next {
		s.err = errAbandoned
	}
	switch len(next) {
	case 0: // whoever had the turn before took them all
		return
	case 1:
		next[0].err = transact(next[0].ctx, pool, next)
		return
	}
	shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTimeout)
	defer cancel()
	err := transact(shared, pool, next)
	for i, s := range next {
		s.err = err
		if errors.Is(err, errWork) {
			s.err = transact(s.ctx, pool, next[i:i+1])
		}
	}
}

func transact(ctx context.Context, pool *pgxpool.Pool, all []*submission) error {
	// READ COMMITTED, because a look for tombstones needs a snapshot that is
	// newer than its lock.
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		var told []eventlog.Draft
		for _, s := range all {
			drafts, err := s.work(ctx, tx)
			if err != nil {
				return workError{err}
			}
			told = append(told, drafts...)
		}
		// Last, and for all: everybody else waits for the versions from here on.
		if _, err := eventlog.AppendAll(ctx, tx, told); err != nil {
			return workError{err}
		}
		return nil
	})
}

type workError struct{ error }

func (e workError) Unwrap() error        { return e.error }
func (e workError) Is(target error) bool { return target == errWork }
