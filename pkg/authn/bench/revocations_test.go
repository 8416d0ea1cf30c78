package bench

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

// BenchmarkRevocationMemory reports the live heap of a list, for each entry.
func BenchmarkRevocationMemory(b *testing.B) {
	for b.Loop() {
		at, worst := ListMemory(Revocations)
		b.ReportMetric(at, "B/entry-at-1M")
		b.ReportMetric(worst, "B/entry-worst")
	}
}

// fullList has Revocations entries, and the principal of a token that none of
// them meets.
func fullList(b *testing.B, now func() time.Time) (*authn.RevocationList, *authn.Principal) {
	b.Helper()
	issuer, err := NewIssuer("EdDSA")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(issuer.Close)
	v, _, err := NewVerifier(b.Context(), issuer, 16)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(v.Close)
	tokens, err := issuer.Tokens(1)
	if err != nil {
		b.Fatal(err)
	}
	p, err := v.Verify(b.Context(), tokens[0])
	if err != nil {
		b.Fatal(err)
	}
	list := authn.NewRevocationList(authn.RevocationListOptions{Now: now})
	FillList(list, Revocations)
	return list, p
}

// BenchmarkRevocationCheck looks up everything that could revoke one token.
func BenchmarkRevocationCheck(b *testing.B) {
	list, p := fullList(b, nil)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if list.Check(p) != nil {
				b.Error("revoked")
			}
		}
	})
}

// BenchmarkRevocationCheckDuringSweeps does so while another goroutine does
// nothing but add entries and sweep the whole list; it needs -cpu 2.
func BenchmarkRevocationCheckDuringSweeps(b *testing.B) {
	var ahead atomic.Int64
	list, p := fullList(b, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		sweeps := 0
		for {
			select {
			case <-stop:
				done <- sweeps
				return
			default:
			}
			ahead.Add(int64(time.Minute)) // a sweep is due
			FillList(list, 100)
			sweeps++
		}
	}()
	times := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		start := time.Now()
		if list.Check(p) != nil {
			b.Fatal("revoked")
		}
		if len(times) < cap(times) {
			times = append(times, time.Since(start))
		}
	}
	close(stop)
	slices.Sort(times)
	b.ReportMetric(float64(<-done), "sweeps")
	b.ReportMetric(float64(times[len(times)*999/1000]), "ns-p99.9")
}

// BenchmarkRevocationApply adds to a full list.
func BenchmarkRevocationApply(b *testing.B) {
	list, _ := fullList(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		FillList(list, 1000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/entry")
}
