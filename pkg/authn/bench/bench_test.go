package bench

import (
	"context"
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
