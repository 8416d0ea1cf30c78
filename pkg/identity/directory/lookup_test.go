package directory_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/directory"
)

func TestLookup_AThousandAtOnceAreOneCall(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	page := make([]string, 100)
	for i := range page {
		page[i] = fmt.Sprintf("u-%d", i)
		b.users[page[i]] = directory.Profile{Name: page[i]}
	}
	release := make(chan struct{})
	b.during = func() { <-release }
	var all sync.WaitGroup
	var begun sync.WaitGroup
	begun.Add(1000)
	results := make(chan error, 1000)
	for i := range 1000 {
		all.Go(func() {
			begun.Done()
			found, err := c.Lookup(context.Background(), page[i%50:50+i%50])
			if err == nil && len(found) != 50 {
				err = fmt.Errorf("%d found", len(found))
			}
			results <- err
		})
	}
	// Whoever comes first asks for its page, others for at most the rest.
	begun.Wait()
	close(release)
	all.Wait()
	close(results)
	for err := range results {
		require.NoError(t, err)
	}
	asked := map[string]int{}
	b.set(func() {
		for _, ids := range b.calls {
			for _, id := range ids {
				asked[id]++
			}
		}
	})
	for id, n := range asked {
		require.Equal(t, 1, n, id)
	}
	require.Len(t, asked, 99)

	b, c = setup(t)
	b.users["a"] = directory.Profile{Name: "Ann"}
	for range 1000 {
		all.Go(func() { _, _ = c.Lookup(context.Background(), []string{"a"}) })
	}
	all.Wait()
	require.Equal(t, 1, b.callCount())
}

// The caller's patience ends before the call does: what was known stands in, and
// the call goes on for whoever comes next.
func TestLookup_ASlowDirectoryCostsTheCallerItsOwnTimeAlone(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.users["a"], b.users["b"] = directory.Profile{Name: "Ann"}, directory.Profile{Name: "Bob"}
	lookup(t, c, "a")
	release := make(chan struct{})
	b.set(func() {
		b.users["a"] = directory.Profile{Name: "Anna"}
		b.now = b.now.Add(2 * time.Minute)
		b.before = release
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	found, err := c.Lookup(ctx, []string{"a", "b"})
	require.ErrorIs(t, err, context.DeadlineExceeded, "b was never known")
	require.Equal(t, map[string]directory.Profile{"a": {Name: "Ann"}}, found)
	close(release)
	require.Equal(t, map[string]directory.Profile{"a": {Name: "Anna"}, "b": {Name: "Bob"}}, lookup(t, c, "a", "b"))
	require.Equal(t, 2, b.callCount(), "the call that was under way")
}

func TestLookup_ADeadDirectoryIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.status = http.StatusBadGateway
	for range 100 {
		_, err := c.Lookup(context.Background(), []string{"a"})
		require.ErrorContains(t, err, "502")
	}
	require.Equal(t, 1, b.callCount())
	b.set(func() { b.status, b.now = 0, b.now.Add(time.Second); b.users["a"] = directory.Profile{Name: "Ann"} })
	require.Equal(t, "Ann", lookup(t, c, "a")["a"].Name)
	require.Equal(t, "Ann", lookup(t, c, "a", "b")["a"].Name, "it works again, and so is asked again")
	require.Equal(t, 3, b.callCount())
}

func TestLookup_APartialAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.users["a"] = directory.Profile{Name: "Ann"}
	lookup(t, c, "a")
	for _, body := range []string{`{"users":[{"id":"a","na`, `{}`, `{"users":null}`} {
		b.set(func() { b.body, b.now = body, b.now.Add(2*time.Minute) })
		require.Equal(t, "Ann", lookup(t, c, "a")["a"].Name, body)
	}
}

func TestLookup_TakesNothingFromAnAnswerThatItDidNotAskFor(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.body = `{"users":[
		{"id":"a","name":"A\u0000\u001b[2Jn\u202en","image":"javascript:alert(1)","email":"ann@example.com"},
		{"id":"b","name":"` + strings.Repeat("ü", 500) + `","image":"https://user:secret@a.example/x"},
		{"id":"c","name":"Carl","erased":true},{"id":"c","name":"Carl"},
		{"id":"d","name":"Dora","image":"https://` + strings.Repeat("a", 3000) + `.example/"},
		{"id":"victim","name":"Mallory"}]}`
	require.Equal(t, map[string]directory.Profile{
		"a": {Name: "A[2Jnn"}, "b": {Name: strings.Repeat("ü", 128)}, "c": {Erased: true}, "d": {Name: "Dora"},
	}, lookup(t, c, "a", "b", "c", "d"))
	b.set(func() { b.body = "" })
	require.Empty(t, lookup(t, c, "victim"), "what came along was not kept")
}

func TestLookup_DoesNotFollowARedirectWithItsCredential(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	b.status, b.redirect = http.StatusTemporaryRedirect, "/elsewhere"
	_, err := c.Lookup(context.Background(), []string{"a"})
	require.ErrorContains(t, err, "307")
	require.Equal(t, 1, b.callCount())
}

func TestLookup_WhatIsNoUserIDIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b, c := setup(t)
	require.Empty(t, lookup(t, c, "", "a\x00b", strings.Repeat("x", 256)))
	require.Zero(t, b.callCount())
}

type permitted struct{}

func TestLookup_NoEmailUnlessAskedForByAPermittedCaller(t *testing.T) {
	t.Parallel()
	b, c := setup(t, func(config *directory.ClientConfig) {
		config.EmailPermitted = func(ctx context.Context) bool { return ctx.Value(permitted{}) != nil }
	})
	b.users["a"] = directory.Profile{Name: "Ann", Email: "ann@example.com"} // which the directory sends in any case
	staff := context.WithValue(context.Background(), permitted{}, true)

	found, err := c.Lookup(staff, []string{"a"})
	require.NoError(t, err)
	require.Equal(t, map[string]directory.Profile{"a": {Name: "Ann"}}, found, "permitted, but not asked for")
	require.Empty(t, b.fields[0])

	_, err = c.Lookup(context.Background(), []string{"a"}, directory.WithEmail())
	require.ErrorIs(t, err, directory.ErrEmailNotPermitted, "asked for, but not permitted")
	require.Equal(t, 1, b.callCount())

	found, err = c.Lookup(staff, []string{"a"}, directory.WithEmail())
	require.NoError(t, err)
	require.Equal(t, "ann@example.com", found["a"].Email)
	require.Equal(t, []string{"email"}, b.fields[1])
	require.Empty(t, lookup(t, c, "a")["a"].Email, "it was not kept")

	b.set(func() { b.status = http.StatusBadGateway })
	found, err = c.Lookup(staff, []string{"a"}, directory.WithEmail())
	require.NoError(t, err)
	require.Equal(t, map[string]directory.Profile{"a": {Name: "Ann"}}, found, "the name is known, the address is not")

	_, without := setup(t)
	_, err = without.Lookup(staff, []string{"a"}, directory.WithEmail())
	require.ErrorIs(t, err, directory.ErrEmailNotPermitted, "nobody is permitted unless somebody says so")
}

func TestLookup_ErasedUsersAreShownAsSuch(t *testing.T) {
	t.Parallel()
	erased, broken := map[string]bool{"gone": true}, error(nil)
	b, c := setup(t, func(config *directory.ClientConfig) {
		config.Erased = func(context.Context, []string) (map[string]bool, error) { return erased, broken }
	})
	b.users["gone"], b.users["a"] = directory.Profile{Name: "Gone"}, directory.Profile{Name: "Ann"}
	require.Equal(t, map[string]directory.Profile{"gone": {Erased: true}, "a": {Name: "Ann"}}, lookup(t, c, "gone", "a"))
	require.Equal(t, [][]string{{"a"}}, b.calls, "who was erased is not asked about")

	b.set(func() { b.now = b.now.Add(2 * time.Minute) })
	broken = errors.New("database is down")
	found, err := c.Lookup(context.Background(), []string{"a", "gone"})
	require.ErrorIs(t, err, broken)
	require.Empty(t, found, "who cannot be told from an erased user is not shown")

	broken, erased = nil, nil
	require.Equal(t, "Gone", lookup(t, c, "gone")["gone"].Name, "readmitted")
}

func TestLookup_CacheIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	b, c := setup(t, func(config *directory.ClientConfig) { config.MaxBytes = 10_000 })
	for i := range 100 {
		b.users[fmt.Sprintf("u-%d", i)] = directory.Profile{Name: strings.Repeat("n", 250)}
	}
	for i := range 100 {
		lookup(t, c, fmt.Sprintf("u-%d", i))
	}
	require.Equal(t, 100, b.callCount())
	for i := 99; i >= 90; i-- {
		lookup(t, c, fmt.Sprintf("u-%d", i))
	}
	require.Equal(t, 100, b.callCount(), "the newest are there")
	lookup(t, c, "u-50")
	require.Equal(t, 101, b.callCount(), "older ones made room")
}
