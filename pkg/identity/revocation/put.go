package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/shadowless/shadowless/pkg/authn"
)

// inFlight is how many entries Put has under way at once. One by one it waited for
// a round trip each, and a batch of 200 took longer than a revocation may.
const inFlight = 32

// Put projects revocations into the bucket; the caller's rows are the truth, so
// it may repeat and reorder calls: of two entries for one key the one with the
// later Before stays, and of two in the same second the one put last. For kinds
// without a T, Before is when the revocation was made; zero means now. After an
// error some of them may be there.
//
// Only the writers of revocations, identity-relay and token-exchange, call it.
func Put(ctx context.Context, kv jetstream.KeyValue, revocations ...authn.Revocation) error {
	if err := putAll(ctx, kv, revocations); err != nil {
		return fmt.Errorf("put revocation: %w", err)
	}
	return nil
}

func putAll(ctx context.Context, kv jetstream.KeyValue, revocations []authn.Revocation) error {
	if len(revocations) == 1 {
		return put(ctx, kv, revocations[0])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	// Two entries for one key keep their order: one worker puts them both.
	for _, same := range byKey(revocations) {
		group.Go(func() error {
			for _, r := range same {
				if err := put(ctx, kv, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// byKey cuts a list into the entries of each key, in their order.
func byKey(revocations []authn.Revocation) [][]authn.Revocation {
	type id struct {
		kind authn.RevocationKind
		key  authn.RevocationKey
	}
	places := make(map[id]int, len(revocations))
	lists := make([][]authn.Revocation, 0, len(revocations))
	for i, r := range revocations {
		at, seen := places[id{r.Kind, r.Key}]
		if !seen {
			places[id{r.Kind, r.Key}] = len(lists)
			lists = append(lists, revocations[i:i+1:i+1])
			continue
		}
		lists[at] = append(lists[at], r)
	}
	return lists
}

// Lift takes revocations away again; Before is when that was decided, zero means now.
// The entry stays in the bucket, marked as lifted: a deleted key could not tell
// a replica that was away.
func Lift(ctx context.Context, kv jetstream.KeyValue, revocations ...authn.Revocation) error {
	lifted := make([]authn.Revocation, len(revocations))
	for i, r := range revocations {
		r.Lifted = true
		lifted[i] = r
	}
	if err := putAll(ctx, kv, lifted); err != nil {
		return fmt.Errorf("lift revocation: %w", err)
	}
	return nil
}

// put costs one round trip for a new key, three for one that exists.
func put(ctx context.Context, kv jetstream.KeyValue, r authn.Revocation) error {
	if _, known := kinds[r.Kind.String()]; !known {
		return fmt.Errorf("%w: unknown kind", errEntry)
	}
	key, ours := Key(r.Kind, r.Key), valueOf(r)
	raw, err := json.Marshal(ours)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	for {
		_, err := kv.Create(ctx, key, raw)
		if err == nil || !conflict(err) {
			return err
		}
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it expired in between
		}
		if err != nil {
			return err
		}
		var theirs value
		if json.Unmarshal(entry.Value(), &theirs) == nil && (theirs.T > ours.T || theirs == ours) {
			return nil
		}
		if _, err = kv.Update(ctx, key, raw, entry.Revision()); err == nil || !conflict(err) {
			return err
		}
	}
}

// conflict reports whether another writer was faster. Replicated streams answer
// with a code of their own.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) ||
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Beat writes a heartbeat under a name of one subject token. Identity-relay
// beats every second, so that replicas notice when nobody feeds the bucket.
func Beat(ctx context.Context, kv jetstream.KeyValue, name string) error {
	return beat(ctx, kv, name, "")
}

// BeatRebuilding is Beat for a bucket that was lost: what is new is in it, and
// what was there before is on its way. It counts for a list that had everything,
// since a list forgets nothing, and not for one that was empty or cut off.
func BeatRebuilding(ctx context.Context, kv jetstream.KeyValue, name string) error {
	return beat(ctx, kv, name, rebuilding)
}

// rebuilding ends the value of such a heartbeat.
const rebuilding = " rebuilding"

func beat(ctx context.Context, kv jetstream.KeyValue, name, mark string) error {
	_, err := kv.Put(ctx, HeartbeatPrefix+name, []byte(strconv.FormatInt(time.Now().UnixNano(), 10)+mark))
	if err != nil {
		return fmt.Errorf("write heartbeat: %w", err)
	}
	return nil
}
