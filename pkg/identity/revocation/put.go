package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/authn"
)

// Put projects revocations into the bucket; the caller's rows are the truth, so
// it may repeat and reorder calls: of two entries for one key the one with the
// later Before stays, and of two in the same second the one put last. For kinds
// without a T, Before is when the revocation was made; zero means now.
//
// Only the writers of revocations, identity-relay and token-exchange, call it.
func Put(ctx context.Context, kv jetstream.KeyValue, revocations ...authn.Revocation) error {
	for _, r := range revocations {
		if err := put(ctx, kv, r); err != nil {
			return fmt.Errorf("put revocation: %w", err)
		}
	}
	return nil
}

// Lift takes revocations away again; Before is when that was decided, zero means now.
// The entry stays in the bucket, marked as lifted: a deleted key could not tell
// a replica that was away.
func Lift(ctx context.Context, kv jetstream.KeyValue, revocations ...authn.Revocation) error {
	for _, r := range revocations {
		r.Lifted = true
		if err := put(ctx, kv, r); err != nil {
			return fmt.Errorf("lift revocation: %w", err)
		}
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
	_, err := kv.Put(ctx, HeartbeatPrefix+name, []byte(strconv.FormatInt(time.Now().UnixNano(), 10)))
	if err != nil {
		return fmt.Errorf("write heartbeat: %w", err)
	}
	return nil
}
