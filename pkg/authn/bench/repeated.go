package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/shadowless/shadowless/pkg/authn"
)

const (
	// LiveTokens are in the cache when a repeated token is measured.
	LiveTokens = 10_000
	// Revocations are in the list then, none of which meets a token.
	Revocations = 1_000_000
)

// Live is a verifier that has seen LiveTokens tokens.
type Live struct {
	Verifier *authn.Verifier
	List     *authn.RevocationList
	Tokens   []string // in random order
	headers  []http.Header
}

// NewLive signs and verifies the tokens and fills the revocation list.
func NewLive(ctx context.Context, i *Issuer) (*Live, error) {
	tokens, err := i.manyTokens(LiveTokens)
	if err != nil {
		return nil, err
	}
	v, list, err := NewVerifier(ctx, i, LiveTokens)
	if err != nil {
		return nil, err
	}
	FillList(list, Revocations)
	for _, t := range tokens {
		if _, err := v.Verify(ctx, t); err != nil {
			v.Close()
			return nil, fmt.Errorf("fill the cache: %w", err)
		}
	}
	rand.Shuffle(len(tokens), func(a, b int) { tokens[a], tokens[b] = tokens[b], tokens[a] }) //nolint:gosec // an order is no secret
	headers := make([]http.Header, len(tokens))
	for n, t := range tokens {
		headers[n] = http.Header{"Authorization": {"Bearer " + t}}
	}
	return &Live{Verifier: v, List: list, Tokens: tokens, headers: headers}, nil
}

// manyTokens signs on two cores: RS256 takes a millisecond and a half for each.
func (i *Issuer) manyTokens(n int) ([]string, error) {
	var halves [2][]string
	var errs [2]error
	var wg sync.WaitGroup
	for h := range halves {
		wg.Go(func() { halves[h], errs[h] = i.Tokens(n / 2) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return append(halves[0], halves[1]...), nil
}

var kinds = []authn.RevocationKind{
	authn.RevokedToken, authn.RevokedSession, authn.RevokedUser, authn.RevokedClient, authn.BlockedUser,
}

// FillList revokes n IDs, of every kind, that no token has.
func FillList(list *authn.RevocationList, n int) {
	expires := time.Now().Add(49 * time.Hour)
	batch := make([]authn.Revocation, 0, 1000)
	for k := range n {
		r := authn.Revocation{Kind: kinds[k%len(kinds)], Before: time.Now(), Expires: expires}
		binary.LittleEndian.PutUint64(r.Key[:8], rand.Uint64()) //nolint:gosec // IDs that nobody has
		binary.LittleEndian.PutUint64(r.Key[8:], rand.Uint64()) //nolint:gosec // IDs that nobody has
		if batch = append(batch, r); len(batch) == cap(batch) || k == n-1 {
			list.Apply(batch...)
			batch = batch[:0]
		}
	}
	list.MarkLoaded()
	list.Heartbeat(time.Now())
}

// Verify is the operation on a repeated token.
func (l *Live) Verify(ctx context.Context) Op {
	return func(n int) error {
		_, err := l.Verifier.Verify(ctx, l.Tokens[n%len(l.Tokens)])
		return err
	}
}

// WhileListChanges is Verify with one more revocation after every hundred
// tokens, so that each token is looked for in the list each time.
func (l *Live) WhileListChanges(ctx context.Context) Op {
	verify := l.Verify(ctx)
	r := authn.Revocation{Kind: authn.RevokedSession, Expires: time.Now().Add(time.Hour)}
	return func(n int) error {
		if n%100 == 0 {
			l.List.Apply(r)
		}
		return verify(n)
	}
}

// Middleware is the operation of a request with a repeated token through
// Middleware to a handler that only looks for its caller. The request is the
// same each time, as near to the processor as one that was just read, so each
// goroutine needs an Op of its own.
func (l *Live) Middleware(ctx context.Context) Op {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orders.example/", http.NoBody)
	if err != nil {
		return func(int) error { return err }
	}
	handler := l.Verifier.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := authn.FromContext(r.Context()); !ok {
			panic("the caller is missing")
		}
	}))
	return func(n int) error {
		r.Header = l.headers[n%len(l.headers)]
		handler.ServeHTTP(nil, r)
		return nil
	}
}

// ListMemory returns the live heap of a revocation list for each entry: at n
// entries, and the most at any of a series of sizes from half of n to twice n.
// The list grows in steps, so that one size alone could be a lucky one.
func ListMemory(n int) (at, worst float64) {
	list := authn.NewRevocationList(authn.RevocationListOptions{})
	before := liveHeap()
	for have, step := 0, n/10; have < 2*n; {
		FillList(list, step)
		have += step
		if have < n/2 {
			continue
		}
		perEntry := (liveHeap() - before) / float64(list.Len())
		worst = max(worst, perEntry)
		if have == n {
			at = perEntry
		}
	}
	runtime.KeepAlive(list)
	return at, worst
}

func liveHeap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
