package throttle_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/internal/throttle"
)

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestTake_H5_AtMostTheQuotaOfManyAtOnce(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := throttle.New(100, c.now)
	q := throttle.Quota{Requests: 50, Per: time.Minute}
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if wait, ok := l.Take("k", q); ok {
				passed.Add(1)
			} else {
				require.Positive(t, wait)
				require.LessOrEqual(t, wait, q.Per)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 50, passed.Load())
}

func TestTake_ComesFreeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l := throttle.New(100, c.now)
	q := throttle.Quota{Requests: 6, Per: time.Minute}
	for range 6 {
		_, ok := l.Take("k", q)
		require.True(t, ok)
	}
	wait, full := l.Full("k", q)
	require.True(t, full)
	require.Equal(t, 10*time.Second, wait)
	_, ok := l.Take("other", q)
	require.True(t, ok, "keys do not share")
	c.advance(wait - 1)
	_, ok = l.Take("k", q)
	require.False(t, ok)
	c.advance(1)
	_, full = l.Full("k", q)
	require.False(t, full)
	_, ok = l.Take("k", q)
	require.True(t, ok)
	_, ok = l.Take("k", q)
	require.False(t, ok)
}

func TestLimiter_RemembersABoundedNumberOfKeys(t *testing.T) {
	t.Parallel()
	l := throttle.New(1600, (&clock{}).now)
	for i := range 100_000 {
		l.Take(strconv.Itoa(i), throttle.Quota{Requests: 1, Per: time.Hour})
	}
	require.LessOrEqual(t, l.Len(), 1600)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	none, small, large := throttle.Quota{}, throttle.Quota{Requests: 1, Per: time.Second}, throttle.Quota{Requests: 10, Per: time.Second}
	require.True(t, none.Above(small))
	require.False(t, small.Above(none))
	require.False(t, none.Above(none))
	require.True(t, large.Above(small))
	require.False(t, small.Above(large))
	_, ok := throttle.New(1, time.Now).Take("k", none)
	require.True(t, ok)
	_, full := throttle.New(1, time.Now).Full("k", none)
	require.False(t, full)
}

func BenchmarkTake(b *testing.B) {
	l := throttle.New(1<<16, time.Now)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Take("k", throttle.Quota{Requests: 1 << 30, Per: time.Second})
		}
	})
}
