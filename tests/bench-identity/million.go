package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

// loads is how often a fresh replica and a bare watch read the million.
const loads = 2

// million measures a lost bucket and a large one.
func (s *system) million(ctx context.Context, r *report, c *constants) error {
	filled, err := s.fillRaw(ctx)
	if err != nil {
		return err
	}
	rows, rebuilt, err := s.loseBucket(ctx, c)
	if err != nil {
		return err
	}
	var bare, took []time.Duration
	var live []float64
	entries := 0
	for i := range loads {
		progress("revocation: load %d of %d", i+1, loads)
		d, err := s.readBucket(ctx)
		if err != nil {
			return err
		}
		told, err := s.freshReplica(ctx, i)
		if err != nil {
			return err
		}
		bare, took, live = append(bare, d), append(took, told.Took), append(live, float64(told.Live))
		entries = told.Entries
	}
	broker, err := s.stack.Memory()
	if err != nil {
		return err
	}
	stream, err := s.js.Stream(ctx, "KV_"+streams.Revocations)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	c.entryBytes = float64(state.Bytes) / float64(max(state.Msgs, 1))
	c.replicaBytes = measure.Median(live) / float64(max(entries, 1))
	r.title(fmt.Sprintf("%d live revocations", entries))
	r.table([]string{"what", "measured"},
		[]string{"a lost bucket is rebuilt from the relay's rows", fmt.Sprintf("%d rows in %.1f s: %.0f a second, from the moment of the loss", rows, rebuilt.Seconds(), float64(rows)/rebuilt.Seconds())},
		[]string{"floor: putting as many into another bucket, 1,000 at a time", fmt.Sprintf("%.1f s: %.0f a second", filled.Seconds(), float64(s.live)/filled.Seconds())},
		[]string{"floor: a bare watch reads them", durations(bare)},
		[]string{"a fresh replica is ready (goal: ≤ 20 s)", durations(took)},
		[]string{"live heap that they take in a replica (goal: ≤ 50 MB for a million)", fmt.Sprintf("%.1f MB, %.0f B an entry", measure.Median(live)/1e6, c.replicaBytes)},
		[]string{"the bucket on disk", fmt.Sprintf("%s, %.0f B an entry", mib(int64(state.Bytes)), c.entryBytes)}, //nolint:gosec // far below 2^63
		[]string{"NATS, resident", mib(broker.Resident)},
	)
	return nil
}

// insertRows gives the relay live revocations that it has projected, as SQL: what is
// measured begins when they are no longer in the bucket.
func insertRows(ctx context.Context, pool *pgxpool.Pool, n int) error {
	_, err := pool.Exec(ctx, `INSERT INTO revocations (kind, key, revoked_at, causes, expires_at, pending, projected_at)
		SELECT 'jti', decode(md5('bench ' || n), 'hex'), now(), ARRAY['operator'], now() + $2::interval, false, now() FROM generate_series(1, $1::int) n`,
		n, streams.RevocationTTL)
	if err == nil {
		_, err = pool.Exec(ctx, "ANALYZE revocations")
	}
	if err != nil {
		return fmt.Errorf("write revocations: %w", err)
	}
	return nil
}

// loseBucket gives the relay its live revocations, deletes and declares the bucket,
// and waits for the rows to be in it.
func (s *system) loseBucket(ctx context.Context, c *constants) (rows uint64, took time.Duration, err error) {
	pool, err := s.database(ctx, devstack.IdentityRelay)
	if err != nil {
		return 0, 0, err
	}
	defer pool.Close()
	// Of rows that were made and projected, not of those below.
	if c.revocationBytes, err = perRow(ctx, pool, "revocations"); err != nil {
		return 0, 0, err
	}
	progress("revocation: writing %d rows", s.live)
	if err := insertRows(ctx, pool, s.live); err != nil {
		return 0, 0, err
	}
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM revocations`).Scan(&rows); err != nil {
		return 0, 0, fmt.Errorf("count revocations: %w", err)
	}
	progress("revocation: losing a bucket of %d rows", rows)
	begun := time.Now()
	if err := s.js.DeleteKeyValue(ctx, streams.Revocations); err != nil {
		return 0, 0, fmt.Errorf("delete the bucket: %w", err)
	}
	if err := streams.Apply(ctx, s.js, 1); err != nil {
		return 0, 0, err
	}
	deadline := time.Now().Add(patience + time.Duration(rows)*time.Millisecond) //nolint:gosec // far below 2^63
	for time.Now().Before(deadline) {
		stream, err := s.js.Stream(ctx, "KV_"+streams.Revocations)
		if err != nil {
			return 0, 0, fmt.Errorf("look at the bucket: %w", err)
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter("$KV."+streams.Revocations+"."+revocation.HeartbeatPrefix+">"))
		if err != nil {
			return 0, 0, fmt.Errorf("look at the bucket: %w", err)
		}
		if info.State.Msgs >= rows+uint64(len(info.State.Subjects)) {
			return rows, time.Since(begun), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, 0, errors.New("the bucket was not rebuilt in time")
}

// rawFill is a bucket for the floor.
const rawFill = "BENCHFILL"

// fillRaw puts as many entries into a bucket of their own, as Put would write them.
func (s *system) fillRaw(ctx context.Context) (time.Duration, error) {
	progress("revocation: putting %d entries into a bucket", s.live)
	_, err := s.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: rawFill, History: 1, TTL: streams.RevocationTTL, Storage: jetstream.FileStorage})
	if err != nil {
		return 0, fmt.Errorf("make a bucket: %w", err)
	}
	took, err := s.fill(ctx, rawFill)
	if err != nil {
		return 0, err
	}
	if err := s.js.DeleteKeyValue(ctx, rawFill); err != nil {
		return 0, fmt.Errorf("delete a bucket: %w", err)
	}
	return took, nil
}

func (s *system) fill(ctx context.Context, bucket string) (time.Duration, error) {
	begun := time.Now()
	value := fmt.Appendf(nil, `{"t":%d,"lifted":false}`, begun.Unix())
	const wave = 1000
	waiting := make([]jetstream.PubAckFuture, 0, wave)
	for i := range s.live {
		var key authn.RevocationKey
		if _, err := rand.Read(key[:]); err != nil {
			return 0, err
		}
		future, err := s.js.PublishAsync("$KV."+bucket+"."+revocation.Key(authn.RevokedToken, key), value)
		if err != nil {
			return 0, fmt.Errorf("fill the bucket: %w", err)
		}
		if waiting = append(waiting, future); len(waiting) < wave && i < s.live-1 {
			continue
		}
		for _, future := range waiting {
			select {
			case <-future.Ok():
			case err := <-future.Err():
				return 0, fmt.Errorf("fill the bucket: %w", err)
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		waiting = waiting[:0]
	}
	return time.Since(begun), nil
}

// readBucket is a watch that throws away what it reads.
func (s *system) readBucket(ctx context.Context) (time.Duration, error) {
	conn, js, err := s.connect()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	begun := time.Now()
	kv, err := js.KeyValue(ctx, streams.Revocations)
	if err != nil {
		return 0, fmt.Errorf("open the bucket: %w", err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return 0, fmt.Errorf("watch the bucket: %w", err)
	}
	for entry := range watch.Updates() {
		if entry == nil {
			return time.Since(begun), nil
		}
	}
	return 0, errors.New("the watch ended")
}

// freshReplica is a process of its own, for a heap that holds nothing else.
func (s *system) freshReplica(ctx context.Context, i int) (told loading, err error) {
	path := filepath.Join(s.dir, fmt.Sprintf("replica-%d.log", i))
	p, err := measure.Start(path, []string{replicaMode, s.running.StateDir}, nil)
	if err != nil {
		return told, err
	}
	if err := p.Wait(ctx); err != nil {
		p.Stop()
		return told, err
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &told)
	}
	if err != nil {
		return told, fmt.Errorf("a fresh replica: %w\n%s", err, raw)
	}
	return told, nil
}
