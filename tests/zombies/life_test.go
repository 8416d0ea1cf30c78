package zombies

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// realOps are the steps that can be taken from outside. What the model takes
// one by one between two of them, outboxes, worker and nightly job, runs by itself.
var realOps = []Op{
	Nothing, Rest,
	Place, Place, Place, Place, Place, Place, Repeat, Pay, Pay, Call, Call, Call, Cancel,
	Commit, Commit, Abort, Abort, Crash, PublishTwice,
	Deliver, Deliver, Deliver, Redeliver, Forget, Replay,
	Erase, Erase, Erase, Readmit, Race, Race,
}

// life is one schedule against the system.
type life struct {
	*system
	people [2]*person
	held   []*held
	sent   []mailbox.Message // identity events, in order
	kept   [2][]pgx.Tx       // what keeps them from a participant
}

// held is a request that stands in the middle of its transaction: it was told
// that there is no tombstone, and waits for a row that the test has locked.
type held struct {
	tx      pgx.Tx
	request *request
	person  *person
}

var errStuck = errors.New("the system does not come to rest")

func (l *life) step(s Step) error {
	p, at := l.people[s.User], s.At%2
	switch s.Op {
	case Nothing:
		return nil
	case Rest:
		return l.rest()
	case Place:
		return l.order(p, s)
	case Repeat:
		if p.key != "" {
			return l.follow(l.place(p, p.key), p)
		}
	case Pay:
		l.pay(p)
	case Cancel:
		if len(p.placed) > 0 {
			_, _ = l.system.orders.Cancel(context.Background(), p.token, p.placed[s.Pick%len(p.placed)], 0) // refused, once erased
		}
	case Call:
		if calls := l.gate.callsOf(l.people[0].id, l.people[1].id); len(calls) > 0 {
			l.arrive(calls[s.Pick%len(calls)])
		}
	case Commit, Abort:
		if len(l.held) > 0 {
			return l.let(s.Pick%len(l.held), s.Op == Abort)
		}
	case Crash:
		return l.crash(at, s.Pick)
	default:
		return l.message(s, p, at)
	}
	return nil
}

func (l *life) message(s Step, p *person, at int) error {
	switch s.Op {
	case PublishTwice:
		return l.unpublish(at)
	case Deliver:
		return l.deliver(at)
	case Redeliver, Forget:
		if len(l.sent) == 0 {
			return nil
		}
		again := l.sent[s.Pick%len(l.sent)]
		if s.Op == Forget {
			if err := l.forget(at, again.ID); err != nil {
				return err
			}
		}
		return errors.Join(l.publish(again), l.deliver(at))
	case Replay:
		for _, m := range l.sent {
			if err := l.publish(m); err != nil {
				return err
			}
		}
	case Erase:
		return l.erase(p)
	case Readmit:
		return l.readmit(p)
	case Race:
		return l.race(p)
	default:
		return fmt.Errorf("a step that the system does not know: %s", s.Op)
	}
	return nil
}

// order places an order: straight through, with the call to billing kept, or
// with the request held in the middle of its transaction.
func (l *life) order(p *person, s Step) error {
	l.gate.set(p.id, s.Pick%2 == 0)
	p.key = uuid.NewString()
	if !s.Open {
		return l.follow(l.place(p, p.key), p)
	}
	ctx := context.Background()
	tx, err := l.holders[orders].Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO idempotency_keys (user_id, tenant_id, operation, key, request_hash)
		VALUES ($1, $2, 'place', $3, decode(repeat('00', 32), 'hex'))`, p.id, tenant, p.key); err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	h := &held{tx: tx, request: l.place(p, p.key), person: p}
	err = l.until("a request to be held", func() bool { return h.request.ended() || l.waits(orders, tx.Conn().PgConn().PID()) })
	if err != nil || h.request.ended() { // refused
		return errors.Join(err, tx.Rollback(ctx))
	}
	l.held = append(l.held, h)
	return nil
}

func (r *request) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// follow waits for a request's end, unless it waits for one that is held.
func (l *life) follow(r *request, p *person) error {
	err := l.until("a request to end", func() bool { return r.ended() || len(l.held) > 0 && l.waits(orders, 0) })
	if err == nil && r.ended() && r.err == nil {
		p.placed = append(p.placed, r.id)
	}
	return err
}

// waits reports that a session waits for another: for that with the process ID, or for any.
func (s *system) waits(at int, pid uint32) bool {
	var n int
	err := s.dbs[at].Owner.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity, pg_blocking_pids(pid) AS blocking
		WHERE datname = current_database() AND ($1 = 0 AND cardinality(blocking) > 0 OR $1 = ANY(blocking))`, int32(pid)).Scan(&n) //nolint:gosec // a process ID
	return err == nil && n > 0
}

// let lets a held request go on to its commit, or kills its session.
func (l *life) let(i int, kill bool) error {
	ctx, h := context.Background(), l.held[i]
	l.held = slices.Delete(l.held, i, i+1)
	if kill {
		if _, err := l.kill(orders, `AND $1 = ANY(pg_blocking_pids(pid))`, int32(h.tx.Conn().PgConn().PID())); err != nil { //nolint:gosec // a process ID
			return err
		}
	}
	return errors.Join(h.tx.Rollback(ctx), l.follow(h.request, h.person))
}

// kill ends sessions of a service, as a crash of its process does.
func (l *life) kill(at int, which string, args ...any) (int64, error) {
	conn, err := pgx.Connect(context.Background(), l.dbs[at].AdminURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.Background()) //nolint:errcheck // nothing is pending on it
	var tag pgconn.CommandTag
	tag, err = conn.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = 'test_runtime' `+which, args...)
	return tag.RowsAffected(), err
}

// crash ends every session of a participant; sometimes its process is started
// anew, too, or NATS is, which takes longer.
func (l *life) crash(at, pick int) error {
	if _, err := l.kill(at, ""); err != nil {
		return err
	}
	if at == orders {
		if err := l.letAll(); err != nil {
			return err
		}
	}
	switch pick {
	case restartNATS:
		l.Broker.Restart()
		return l.until("NATS to be back", l.Broker.Conn.IsConnected)
	case restartService:
		if err := l.letAll(); err != nil {
			return err
		}
		l.services[at].Stop()
		l.launch(at)
	}
	return nil
}

// Picks of a crash.
const (
	restartNATS    = 6
	restartService = 7
)

// drop gives back what a schedule that failed still holds; nothing could end otherwise.
func (l *life) drop() {
	for _, h := range l.held {
		_ = h.tx.Rollback(context.Background()) // its session may be dead
	}
	for at := range names {
		_ = l.release(at)
	}
}

func (l *life) letAll() error {
	for len(l.held) > 0 {
		if err := l.let(0, false); err != nil {
			return err
		}
	}
	return nil
}

// arrive sends a call to billing, whatever has become of it before.
func (l *life) arrive(c kept) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "/", nil)
	if err != nil {
		return
	}
	if resp, err := l.gate.send(req, c); err == nil {
		_ = resp.Body.Close() // refused, in the end
	}
}

// until waits for a condition.
func (l *life) until(what string, condition func() bool) error {
	for deadline := time.Now().Add(within); !condition(); time.Sleep(every) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: waiting for %s", errStuck, what)
		}
	}
	return nil
}

func (l *life) erase(p *person) error {
	if p.erasure != "" && !p.readmitted {
		return nil // one is open, or complete
	}
	p.erasure, p.readmitted = uuid.NewString(), false
	return l.tell(identity.TypeErasureRequested, p)
}

// readmit is for a user whom everybody has erased.
func (l *life) readmit(p *person) error {
	for at := range names {
		dead, _, err := l.dead(at, p)
		if err != nil || !dead {
			return err
		}
	}
	p.readmitted = true
	return l.tell(identity.TypeErasureReadmitted, p)
}

// race deletes a user while requests of theirs are under way.
func (l *life) race(p *person) error {
	l.gate.set(p.id, true)
	calls := l.gate.callsOf(p.id)
	var err error
	requests := []*request{l.place(p, uuid.NewString()), l.place(p, uuid.NewString()), l.place(p, uuid.NewString())}
	race(
		func() { err = errors.Join(l.erase(p), l.release(orders), l.release(billing)) },
		func() { l.pay(p) },
		func() {
			for _, c := range calls {
				l.arrive(c)
			}
		},
	)
	for _, r := range requests {
		err = errors.Join(err, l.follow(r, p))
	}
	return errors.Join(err, l.deliver(orders), l.deliver(billing))
}
