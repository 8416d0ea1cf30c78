package bench

import (
	"context"
	"sync/atomic"
	"testing"
)

// BenchmarkVerify compares one verification of a token that was not seen before.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range Algorithms() {
		issuer, err := NewIssuer(alg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(issuer.Close)
		tokens, err := issuer.Tokens(256)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range Contenders() {
			b.Run(alg+"/"+c.Name, func(b *testing.B) {
				verify, done, err := c.New(context.Background(), issuer)
				if err != nil {
					b.Fatal(err)
				}
				defer done()
				if err := verify(b.Context(), tokens[0]); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(tokens[0])))
				b.ReportAllocs()
				ctx := b.Context()
				n := 0
				for b.Loop() {
					if n++; n == len(tokens) {
						n = 0
					}
					if err := verify(ctx, tokens[n]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRepeated is a token that was seen before, among LiveTokens others,
// with Revocations in the list; run it with -cpu 1,2.
func BenchmarkRepeated(b *testing.B) {
	issuer, err := NewIssuer("ES256")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(issuer.Close)
	live, err := NewLive(context.Background(), issuer)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(live.Verifier.Close)
	ctx := context.Background()
	for _, c := range []struct {
		name string
		op   func(context.Context) Op
	}{{"Verify", live.Verify}, {"WhileListChanges", live.WhileListChanges}, {"Middleware", live.Middleware}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var start atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				op, n := c.op(ctx), int(start.Add(LiveTokens/3))
				for pb.Next() {
					if err := op(n); err != nil {
						b.Error(err)
						return
					}
					n++
				}
			})
		})
	}
}
