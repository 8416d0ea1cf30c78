package directory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/shadowless/shadowless/pkg/identity"
)

// MaxBatch is how many IDs one call asks for: a page.
const MaxBatch = 100

const (
	defaultTimeout    = 2 * time.Second
	defaultTTL        = time.Minute
	defaultMaxStale   = time.Hour
	defaultRetryAfter = time.Second
	defaultMaxEntries = 10_000
	defaultMaxBytes   = 16 << 20
)

// ClientConfig describes a client. URL is required.
type ClientConfig struct {
	// URL is where look-ups are posted to, http or https.
	URL string
	// HTTPClient carries the credential of the calling service. Redirects are not followed.
	HTTPClient *http.Client
	// Timeout of one call. Default 2 s. A caller whose context ends earlier gets
	// what is known, and the call goes on for the next one.
	Timeout time.Duration
	// TTL is how long a profile is used without asking again, when no event says
	// that it changed. Default 1 min.
	TTL time.Duration
	// MaxStale is how old a profile may be when the directory does not answer. Default 1 h.
	MaxStale time.Duration
	// RetryAfter is for how long after a failure nothing is asked. Default 1 s.
	RetryAfter time.Duration
	// MaxEntries and MaxBytes bound the cache. Default 10,000 and 16 MiB.
	MaxEntries, MaxBytes int
	// Erased, if set, tells which of the users the service itself knows to be
	// erased, by their tombstones. They are shown as such and not asked for.
	Erased func(ctx context.Context, ids []string) (map[string]bool, error)
	// EmailPermitted tells whether the request that ctx belongs to may see
	// e-mail addresses. If nil, none may.
	EmailPermitted func(ctx context.Context) bool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client is a Directory behind HTTP: it posts {"ids":[...]} and reads
// {"users":[{"id","name","image","erased"}]}. IDs travel in the body, never in
// the URL. A look-up [WithEmail] adds "fields":["email"].
type Client struct {
	config ClientConfig
	cache  *cache

	mu       sync.Mutex
	flights  map[string]*flight
	failure  error // of the last flight that failed, until one succeeds
	failedAt time.Time
}

var _ Directory = (*Client)(nil)

// NewClient returns a client with an empty cache. It returns an error for a URL
// that is not absolute.
func NewClient(config ClientConfig) (*Client, error) {
	address, err := url.Parse(config.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, errors.New("configure directory client: URL must be an absolute http or https address")
	}
	own := http.Client{}
	if config.HTTPClient != nil {
		own = *config.HTTPClient
	}
	// The credential must not go where a redirect points.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	config.HTTPClient = &own
	for _, d := range []struct {
		value  *time.Duration
		preset time.Duration
	}{
		{&config.Timeout, defaultTimeout}, {&config.TTL, defaultTTL},
		{&config.MaxStale, defaultMaxStale}, {&config.RetryAfter, defaultRetryAfter},
	} {
		if *d.value <= 0 {
			*d.value = d.preset
		}
	}
	if config.MaxEntries <= 0 {
		config.MaxEntries = defaultMaxEntries
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = defaultMaxBytes
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{config: config, cache: newCache(config.MaxEntries, config.MaxBytes), flights: map[string]*flight{}}, nil
}

// Lookup implements [Directory]. IDs that the cache does not know are asked for
// in batches of [MaxBatch]. If the directory does not answer before ctx ends,
// profiles up to MaxStale old stand in; the error is returned with whatever was
// found only if some ID could not be answered at all.
func (c *Client) Lookup(ctx context.Context, ids []string, options ...Option) (map[string]Profile, error) {
	var q query
	for _, option := range options {
		option(&q)
	}
	if q.email && (c.config.EmailPermitted == nil || !c.config.EmailPermitted(ctx)) {
		return nil, ErrEmailNotPermitted
	}
	now := c.config.Now()
	found := make(map[string]Profile, len(ids))
	ask := c.fromCache(ids, q, now, found)
	ask, err := c.withoutErased(ctx, ask, now, found)
	if err != nil || len(ask) == 0 {
		return found, err
	}
	flights, failure := c.board(ctx, ask, q.email, now)
	var missing error
	for _, id := range ask {
		p, known, err := c.await(ctx, flights[id], failure, id)
		e, old, _ := c.cache.get(id, now, c.config.TTL)
		switch {
		case old && e.erased(): // also where an event overtook the answer
			e.addTo(found, id)
		case err == nil:
			if known {
				found[id] = p
			}
		case old && now.Sub(e.at) < c.config.MaxStale:
			e.addTo(found, id)
		default:
			missing = err
		}
	}
	return found, missing
}

// fromCache adds what may be used without asking and returns, once each, the IDs
// that must be asked for. What is no user ID is unknown to everybody.
func (c *Client) fromCache(ids []string, q query, now time.Time, found map[string]Profile) (ask []string) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if seen[id] || identity.CheckUserID(id) != nil {
			continue
		}
		seen[id] = true
		e, known, fresh := c.cache.get(id, now, c.config.TTL)
		if known && fresh && (!q.email || e.erased()) {
			e.addTo(found, id)
			continue
		}
		ask = append(ask, id)
	}
	return ask
}

// withoutErased adds the users whom the service itself has erased and returns
// the others. If that cannot be told, nobody is shown: a name must not outlive
// its user.
func (c *Client) withoutErased(ctx context.Context, ids []string, now time.Time, found map[string]Profile) ([]string, error) {
	if c.config.Erased == nil || len(ids) == 0 {
		return ids, nil
	}
	erased, err := c.config.Erased(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("look for erased users: %w", err)
	}
	var others []string
	for _, id := range ids {
		if !erased[id] {
			others = append(others, id)
			continue
		}
		e := entry{profile: &Profile{Erased: true}, at: now}
		c.cache.put(id, e)
		e.addTo(found, id)
	}
	return others, nil
}

// await returns what the flight brings for id, or why it brings nothing.
func (c *Client) await(ctx context.Context, f *flight, failure error, id string) (p Profile, known bool, err error) {
	if f == nil {
		return Profile{}, false, failure
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Profile{}, false, fmt.Errorf("ask the directory: %w", ctx.Err())
	}
	p, known = f.answer[id]
	return p, known, f.err
}

// Forget drops users from the cache. An answer that is under way does not bring
// them back.
func (c *Client) Forget(ids ...string) {
	c.overtake(ids...)
	for _, id := range ids {
		c.cache.forget(id)
	}
}
