package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/measure"
	"github.com/shadowless/shadowless/pkg/authn"
	relayapi "github.com/shadowless/shadowless/services/identity-relay/api"
)

// revocationMix is what is revoked, in turn.
var revocationMix = []struct {
	name string
	kind authn.RevocationKind
	wire string // empty: by webhook
}{
	{"sign-out, by webhook", authn.RevokedSession, ""},
	{"ban", authn.BlockedUser, relayapi.KindBlock},
	{"sign-out, by webhook", authn.RevokedSession, ""},
	{"token", authn.RevokedToken, relayapi.KindToken},
	{"client", authn.RevokedClient, relayapi.KindClient},
}

// revoker makes revocations at the relay and follows them.
type revoker struct {
	s        *system
	replicas []*replica
	arrivals *arrivals
}

func (s *system) openRevoker(ctx context.Context) (*revoker, error) {
	v := &revoker{s: s, arrivals: newArrivals()}
	for i := range s.replicas {
		r, err := openReplica(ctx, s.running, fmt.Sprintf("bench-%d", i+1), s.log)
		if err != nil {
			return v, err
		}
		r.list.OnRevoke(func(r authn.Revocation) { v.arrivals.arrived(r.Key, time.Now()) })
		v.replicas = append(v.replicas, r)
	}
	for _, r := range v.replicas {
		if err := r.loaded(ctx); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (v *revoker) close() {
	for _, r := range v.replicas {
		if err := r.close(); err != nil {
			progress("a replica failed: %v", err)
		}
	}
}

func (v *revoker) revoke(ctx context.Context, i int, due time.Time) error {
	what, id := revocationMix[i%len(revocationMix)], rand.Text()
	key := authn.NewRevocationKey(what.kind, id)
	v.arrivals.expect(key, due, len(v.replicas))
	var err error
	if what.wire == "" {
		err = v.s.webhooks.send(ctx, "session.deleted", map[string]any{"id": id, "userId": userID(i)})
	} else {
		_, err = v.s.operator.Revoke(ctx, what.wire, id)
	}
	v.arrivals.answered(key, time.Now())
	return err
}

// sample is one measurement of revocations.
type sample struct{ answered, projected, memory latency }

// at revokes at a rate and tells how long that took to the answer, from there to
// the memory of the last replica, and altogether.
func (v *revoker) at(ctx context.Context, rate float64) (sample, error) {
	took, err := steady(ctx, v.s.connections, rate, v.s.lasting, v.revoke)
	if err != nil {
		return sample{}, err
	}
	late, err := v.arrivals.collect(ctx)
	if err != nil {
		return sample{}, err
	}
	return sample{latencyOf(took), latencyOf(late.fromAnswer), latencyOf(late.fromDue)}, nil
}

func (v *revoker) most(ctx context.Context) (float64, error) {
	begun := time.Now()
	n, err := measure.Full(ctx, v.s.connections, noLimit, v.s.lasting, v.revoke)
	if err != nil {
		return 0, err
	}
	_, err = v.arrivals.collect(ctx)
	return float64(n) / time.Since(begun).Seconds(), err
}

// rawBucket is the floor: values put into a bucket by one client and watched by
// as many as there are replicas.
type rawBucket struct {
	kv       jetstream.KeyValue
	arrivals *arrivals
	stops    []func()
}

func (s *system) openRaw(ctx context.Context) (*rawBucket, error) {
	b := &rawBucket{arrivals: newArrivals()}
	var err error
	b.kv, err = s.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "BENCH", History: 1, TTL: time.Hour, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("make a bucket: %w", err)
	}
	for range s.replicas {
		conn, js, err := s.connect()
		if err != nil {
			return nil, err
		}
		kv, err := js.KeyValue(ctx, "BENCH")
		if err != nil {
			return nil, fmt.Errorf("open the bucket: %w", err)
		}
		watch, err := kv.WatchAll(ctx, jetstream.UpdatesOnly())
		if err != nil {
			return nil, fmt.Errorf("watch the bucket: %w", err)
		}
		go func() {
			for entry := range watch.Updates() {
				if entry != nil {
					b.arrivals.arrived(keyOf(entry.Key()), time.Now())
				}
			}
		}()
		b.stops = append(b.stops, func() {
			_ = watch.Stop()
			conn.Close()
		})
	}
	return b, nil
}

func keyOf(id string) authn.RevocationKey { return authn.NewRevocationKey(authn.RevokedToken, id) }

func (b *rawBucket) at(ctx context.Context, s *system, rate float64) (latency, error) {
	_, err := steady(ctx, s.connections, rate, s.lasting, func(ctx context.Context, _ int, due time.Time) error {
		id := rand.Text()
		b.arrivals.expect(keyOf(id), due, len(b.stops))
		_, err := b.kv.Put(ctx, id, []byte(`{"t":1800000000,"lifted":false}`))
		b.arrivals.answered(keyOf(id), time.Now())
		return err
	})
	if err != nil {
		return latency{}, err
	}
	late, err := b.arrivals.collect(ctx)
	if err != nil {
		return latency{}, err
	}
	return latencyOf(late.fromDue), nil
}

func (b *rawBucket) close(ctx context.Context, s *system) {
	for _, stop := range b.stops {
		stop()
	}
	if err := s.js.DeleteKeyValue(ctx, "BENCH"); err != nil {
		progress("a bucket stays: %v", err)
	}
}

type revocationResult struct {
	raw                         []latency
	answered, projected, memory []latency // at the wanted rate
	halfRate                    []float64
	half                        []latency
	most                        []float64
}

func revocations(ctx context.Context, s *system, r *report, c *constants) error {
	result, err := s.revocationRounds(ctx)
	if err != nil {
		return err
	}
	r.revocations(s, result)
	return s.million(ctx, r, c)
}

func (s *system) revocationRounds(ctx context.Context) (result revocationResult, err error) {
	v, err := s.openRevoker(ctx)
	defer v.close()
	if err != nil {
		return result, err
	}
	raw, err := s.openRaw(ctx)
	if err != nil {
		return result, err
	}
	defer raw.close(context.WithoutCancel(ctx), s)
	progress("revocation: warming up")
	if _, err := v.at(ctx, s.revocations/4); err != nil {
		return result, err
	}
	for round := range s.rounds {
		progress("revocation: round %d of %d", round+1, s.rounds)
		floor, err := raw.at(ctx, s, s.revocations)
		if err != nil {
			return result, err
		}
		got, err := v.at(ctx, s.revocations)
		if err != nil {
			return result, err
		}
		most, err := v.most(ctx)
		if err != nil {
			return result, err
		}
		half, err := v.at(ctx, most/2)
		if err != nil {
			return result, err
		}
		result.raw, result.answered = append(result.raw, floor), append(result.answered, got.answered)
		result.projected, result.memory = append(result.projected, got.projected), append(result.memory, got.memory)
		result.most, result.half, result.halfRate = append(result.most, most), append(result.half, half.memory), append(result.halfRate, most/2)
	}
	return result, nil
}

func (r *report) revocations(s *system, v revocationResult) {
	r.title("From a revocation to the memory of every replica")
	rate := fmt.Sprintf("%.0f", s.revocations)
	r.table([]string{"what", "at a rate of", "p50", "p99", "most a second"},
		[]string{"floor: put into a bucket → seen by the last watch", rate, durations(p50s(v.raw)), durations(p99s(v.raw)), "–"},
		[]string{"revocation → committed and answered", rate, durations(p50s(v.answered)), durations(p99s(v.answered)), "–"},
		[]string{"from there → in the memory of the last replica", rate, durations(p50s(v.projected)), durations(p99s(v.projected)), "–"},
		[]string{"revocation → in the memory of the last replica (goal: p99 ≤ 50 ms)", rate, durations(p50s(v.memory)), durations(p99s(v.memory)), rates(v.most)},
		[]string{"the same at half of its most", rates(v.halfRate), durations(p50s(v.half)), durations(p99s(v.half)), "–"},
	)
	r.text("%d replicas. Of five revocations two are sign-outs by webhook, which also become an event in the log and the stream, and one each a ban, a token and a client, by the operator's route. "+
		"Latency counts from when the request was due, so it holds the HTTP request, the commit, the projection and the watch.", s.replicas)
}
