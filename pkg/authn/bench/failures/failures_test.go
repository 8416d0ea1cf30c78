package failures

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// trouble is one row: what happens, and how each contender bears it.
type trouble struct {
	name string
	run  func(t *testing.T, o opener) string
	// real: it takes no time, and would block the bubble: see opener.locks.
	real bool
	// ours judges our own result; the test fails if it is false.
	ours func(result string) bool
}

func is(want string) func(string) bool { return func(got string) bool { return got == want } }

// atMost judges a duration or a number at the result's beginning.
func atMost(limit time.Duration) func(string) bool {
	return func(got string) bool {
		d, err := time.ParseDuration(strings.Fields(got)[0])
		return err == nil && d <= limit
	}
}

func fewerThan(n int) func(string) bool {
	return func(got string) bool {
		var fetches int
		_, err := fmt.Sscan(got, &fetches)
		return err == nil && fetches <= n
	}
}

var troubles = []trouble{
	{"IdP down at start: recovery once it is back", downAtStart, false, atMost(1100 * time.Millisecond)},
	{"key set hangs at start: the constructor takes", hangAtStart, false, atMost(0)},
	{"key set hangs at start: the first request takes", hangFirstRequest, false, atMost(2 * time.Second)},
	{"restart while the IdP is down", restart, false, is("serves")},
	{"1000 first requests at once: fetches", stampede, true, is("1")},
	{"1000 unknown kids at once: fetches", junkAtOnce, true, is("1")},
	{"1000 unknown kids over a minute: fetches", junkOverAMinute, false, fewerThan(61)},
	{"1000 bad signatures over a minute: fetches", badSignatures, false, is("0")},
	{"a real new kid after ONE junk kid: accepted after", newKeyAfterJunk, false, atMost(1100 * time.Millisecond)},
	{"200 with an empty set, for two hours", emptySet, false, is("serves")},
	{"IdP down for two hours after warm-up", outage, false, is("serves")},
	{"one illegal key in the set", illegalKey, false, is("serves")},
	{"a removed key stays accepted for", removedKey, false, atMost(6 * time.Minute)},
	{"the same, while nobody uses the new key", removedKeyUnnoticed, false, atMost(10*time.Minute + 40*time.Second)},
}

// TestFailures prints the table of measured failures.
func TestFailures(t *testing.T) {
	results := make([][]string, len(troubles))
	for row, tr := range troubles {
		results[row] = make([]string, len(openers))
		for column, o := range openers {
			if tr.real {
				t.Run(o.name, func(t *testing.T) { results[row][column] = tr.run(t, o) })
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(5 * time.Minute) }) // fetches that nothing can end
				if o.locks {
					latency.Store(0)
					t.Cleanup(func() { latency.Store(int64(usualLatency)) })
				}
				results[row][column] = tr.run(t, o)
			})
		}
		if got := results[row][0]; !tr.ours(got) {
			t.Errorf("%s: ours: %s", tr.name, got)
		}
	}
	names := make([]string, len(troubles))
	for i, tr := range troubles {
		names[i] = tr.name
	}
	fmt.Print("\nIn trouble (virtual time; the identity provider answers in ", usualLatency, ")\n\n", table("case", names, results))
}

func table(corner string, rows []string, cells [][]string) string {
	var b strings.Builder
	line := func(first string, rest []string) {
		fmt.Fprintf(&b, "| %-50s |", first)
		for _, c := range rest {
			fmt.Fprintf(&b, " %-18s |", c)
		}
		b.WriteByte('\n')
	}
	var names, rule []string
	for _, o := range openers {
		names, rule = append(names, o.name), append(rule, "---")
	}
	line(corner, names)
	line("---", rule)
	for i, row := range rows {
		line(row, cells[i])
	}
	return b.String()
}

// open builds a contender that ends with the bubble.
func open(t *testing.T, o opener, p party) (contender, error) {
	c, err := o.open(t.Context(), p)
	if err == nil {
		t.Cleanup(c.close)
	}
	return c, err
}

// until tries tokens from now on, ten a second, and says after which time one
// was accepted.
func until(c contender, limit time.Duration, token func() string) string {
	began := time.Now()
	for time.Since(began) < limit {
		if try(c, token()) == nil {
			return time.Since(began).Round(time.Millisecond).String()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "> " + limit.String()
}

// warm is a contender that has accepted a token.
func warm(t *testing.T, o opener, i *idp) contender {
	t.Helper()
	c, err := open(t, o, i.party(t.TempDir()))
	if err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	if err := try(c, i.token()); err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	return c
}

func downAtStart(t *testing.T, o opener) string {
	i := newIDP(t)
	i.set(func() { i.down = true })
	c, err := open(t, o, i.party(t.TempDir()))
	if err != nil {
		return "does not start"
	}
	_ = try(c, i.token())
	time.Sleep(10 * time.Second)
	i.set(func() { i.down = false })
	return until(c, 10*time.Minute, i.token)
}

func hanging(t *testing.T) *idp {
	i := newIDP(t)
	release := make(chan struct{})
	i.hang = release
	t.Cleanup(func() { close(release) })
	return i
}

func hangAtStart(t *testing.T, o opener) string {
	i := hanging(t)
	began := time.Now()
	_, err := open(t, o, i.party(t.TempDir()))
	took := time.Since(began).Round(time.Millisecond).String()
	if err != nil {
		return took + ", then fails"
	}
	return took
}

func hangFirstRequest(t *testing.T, o opener) string {
	i := hanging(t)
	c, err := open(t, o, i.party(t.TempDir()))
	if err != nil {
		return "does not start"
	}
	began := time.Now()
	_ = try(c, i.token()) // 5 s is the request's own deadline
	return time.Since(began).Round(time.Millisecond).String()
}

func restart(t *testing.T, o opener) string {
	i, dir := newIDP(t), t.TempDir()
	c, err := open(t, o, i.party(dir))
	if err != nil || try(c, i.token()) != nil {
		t.Fatalf("%s does not work at all", o.name)
	}
	synctest.Wait() // what is stored in the background is stored
	i.set(func() { i.down = true })
	c, err = open(t, o, i.party(dir))
	if err != nil {
		return "does not start"
	}
	if try(c, i.token()) != nil {
		return "refuses all"
	}
	return "serves"
}

func stampede(t *testing.T, o opener) string {
	i := newIDP(t)
	c, err := open(t, o, i.party(t.TempDir()))
	if err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	token := i.token()
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() { _ = try(c, token) })
	}
	wg.Wait()
	return strconv.Itoa(i.count())
}

func junk(i *idp, n int) string { return i.signedBy(i.signer(), fmt.Sprint("junk-", n)) }

func junkAtOnce(t *testing.T, o opener) string {
	i := newIDP(t)
	c := warm(t, o, i)
	before := i.count()
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() { _ = try(c, junk(i, n)) })
	}
	wg.Wait()
	return strconv.Itoa(i.count() - before)
}

func overAMinute(t *testing.T, o opener, token func(i *idp, n int) string) string {
	i := newIDP(t)
	c := warm(t, o, i)
	before := i.count()
	var wg sync.WaitGroup
	for n := range 1000 {
		wg.Go(func() { _ = try(c, token(i, n)) })
		time.Sleep(60 * time.Millisecond)
	}
	wg.Wait()
	return strconv.Itoa(i.count() - before)
}

func junkOverAMinute(t *testing.T, o opener) string { return overAMinute(t, o, junk) }

func badSignatures(t *testing.T, o opener) string {
	return overAMinute(t, o, func(i *idp, _ int) string { return i.badSignature() })
}

func newKeyAfterJunk(t *testing.T, o opener) string {
	i := newIDP(t)
	c := warm(t, o, i)
	_ = try(c, junk(i, 0))
	i.rotate()
	return until(c, 10*time.Minute, i.token)
}

// forTwoHours sends, every minute, an honest token and one with an unknown kid.
func forTwoHours(c contender, i *idp) string {
	began := time.Now()
	for n := 0; time.Since(began) < 2*time.Hour; n++ {
		_ = try(c, junk(i, n))
		if try(c, i.token()) != nil {
			return "refuses after " + time.Since(began).Round(time.Second).String()
		}
		time.Sleep(time.Minute)
	}
	return "serves"
}

func emptySet(t *testing.T, o opener) string {
	i := newIDP(t)
	c := warm(t, o, i)
	i.set(func() { i.raw = []byte(`{"keys":[]}`) })
	return forTwoHours(c, i)
}

func outage(t *testing.T, o opener) string {
	i := newIDP(t)
	c := warm(t, o, i)
	i.set(func() { i.down = true })
	return forTwoHours(c, i)
}

func illegalKey(t *testing.T, o opener) string {
	i := newIDP(t)
	i.extra = `{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"broken","x":"AAAA","y":"AAAA"}`
	c, err := open(t, o, i.party(t.TempDir()))
	if err != nil {
		return "does not start"
	}
	if try(c, i.token()) != nil {
		return "refuses all"
	}
	return "serves"
}

// removedKey: the issuer withdraws a key that was stolen. Honest tokens by the
// new key go on meanwhile.
func removedKey(t *testing.T, o opener) string { return withdrawn(t, o, true) }

// removedKeyUnnoticed: only the thief calls, so nothing points to a new key.
func removedKeyUnnoticed(t *testing.T, o opener) string { return withdrawn(t, o, false) }

func withdrawn(t *testing.T, o opener, honest bool) string {
	i := newIDP(t)
	c := warm(t, o, i)
	stolen := i.signer()
	i.rotate()
	i.set(func() { i.keys = i.keys[1:] })
	began := time.Now()
	const limit = 31 * 24 * time.Hour
	for step := 10 * time.Second; time.Since(began) < limit; {
		if honest {
			_ = try(c, i.token())
		}
		if try(c, i.signedBy(stolen, stolen.id)) != nil {
			return time.Since(began).Round(time.Second).String()
		}
		if time.Since(began) > 2*time.Hour {
			step = 30 * time.Minute
		}
		time.Sleep(step)
	}
	return "> 31 days"
}
