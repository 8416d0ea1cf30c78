package harness

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/streams"
)

// wal is how many bytes the one server has written to its log so far.
func (w *world) wal(ctx context.Context) (at int64, err error) {
	if err := w.admin.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`).Scan(&at); err != nil {
		return 0, fmt.Errorf("read the position in the log: %w", err)
	}
	return at, nil
}

const (
	quietFor   = 100 * time.Millisecond
	quietBytes = 2 << 10
)

// settled waits until nothing more comes of what was done, and returns the
// position in the log. A server that is never quiet is waited for in vain, and
// then measured as it is.
func (w *world) settled(ctx context.Context) (int64, error) {
	deadline := time.Now().Add(10 * time.Second)
	before, err := w.wal(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(quietFor):
		}
		var now int64
		if now, err = w.wal(ctx); now-before < quietBytes || time.Now().After(deadline) {
			return now, err
		}
		before = now
	}
	return 0, err
}

// writtenBy is the log's growth through do, until everything has settled.
func (w *world) writtenBy(ctx context.Context, do func() error) (int64, error) {
	before, err := w.settled(ctx)
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := w.settled(ctx)
	return after - before, err
}

// rowsWritten so far in each contender's databases. A backend reports its counts
// when it has been idle for long, or ends: the idle ones are made to end, and
// the pools open others.
func (w *world) rowsWritten(ctx context.Context) ([]int64, error) {
	var all []string
	for _, name := range w.databases() {
		all = append(all, name)
	}
	_, err := w.admin.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1) AND state = 'idle'`, all)
	if err != nil {
		return nil, fmt.Errorf("end idle backends: %w", err)
	}
	// A pool pings what was idle for a second before it is used again.
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(1200 * time.Millisecond):
	}
	rows := make([]int64, len(contenders))
	for i, c := range contenders {
		var names []string
		for _, service := range c.databases {
			names = append(names, w.databases()[service])
		}
		err := w.admin.QueryRow(ctx, `SELECT sum(tup_inserted + tup_updated + tup_deleted)::bigint FROM pg_stat_database WHERE datname = ANY($1)`, names).Scan(&rows[i])
		if err != nil {
			return nil, fmt.Errorf("count written rows: %w", err)
		}
	}
	return rows, nil
}

// streamed is what the federated archetype's log in NATS holds, in bytes.
func (w *world) streamed(ctx context.Context) (int64, error) {
	var sum int64
	for _, name := range []string{streams.Identity, streams.Receipts} {
		stream, err := w.js.Stream(ctx, name)
		if err != nil {
			return 0, fmt.Errorf("look at the stream %s: %w", name, err)
		}
		sum += int64(stream.CachedInfo().State.Bytes) //nolint:gosec // far below 2^63
	}
	return sum, nil
}

// erased waits until no erasure is open.
func (w *world) erased(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		var open int64
		err := w.pools[devstack.IdentityRelay].QueryRow(ctx, `SELECT count(*) FROM erasures WHERE state <> 'complete'`).Scan(&open)
		switch {
		case err != nil:
			return fmt.Errorf("count open erasures: %w", err)
		case open == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d erasures are not complete after %s", open, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
