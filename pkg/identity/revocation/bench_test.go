package revocation_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/revocation"
)

func benchBucket(b *testing.B) (*identitytest.Broker, jetstream.KeyValue) {
	b.Helper()
	broker := identitytest.NATS(b)
	kv, err := broker.JetStream.CreateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: revocation.DefaultBucket, TTL: ttl, History: 1})
	require.NoError(b, err)
	return broker, kv
}

func tokens(first, n int) []authn.Revocation {
	all := make([]authn.Revocation, n)
	for i := range all {
		all[i] = authn.Revocation{Kind: authn.RevokedToken, Key: authn.NewRevocationKey(authn.RevokedToken, strconv.Itoa(first+i)), Before: time.Now()}
	}
	return all
}

// BenchmarkPut is a projector's batch; one operation is one entry.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 10, 200} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			_, kv := benchBucket(b)
			all := tokens(0, b.N)
			b.ResetTimer()
			for len(all) > 0 {
				n := min(size, len(all))
				require.NoError(b, revocation.Put(context.Background(), kv, all[:n]...))
				all = all[n:]
			}
		})
	}
}

// BenchmarkFeed_Load is a fresh replica; one operation is one entry.
func BenchmarkFeed_Load(b *testing.B) {
	broker, kv := benchBucket(b)
	for first := 0; first < b.N; first += 1000 {
		require.NoError(b, revocation.Put(context.Background(), kv, tokens(first, min(1000, b.N-first))...))
	}
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	before := liveHeap()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.ResetTimer()
	go func() {
		done <- revocation.NewFeed(broker.JetStream, revocation.FeedConfig{Instance: "bench"}).Run(ctx, list)
	}()
	for !list.Loaded() {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	require.Equal(b, b.N, list.Len())
	b.ReportMetric(max(0, float64(liveHeap())-float64(before))/float64(b.N), "live-B/entry")
	cancel()
	require.NoError(b, <-done)
}

func liveHeap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
