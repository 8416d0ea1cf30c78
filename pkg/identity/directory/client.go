package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// MaxBatch is how many IDs one call asks for: a page.
const MaxBatch = 100

const (
	// maxAnswerBytes allows 100 profiles with long names and addresses.
	maxAnswerBytes = 1 << 20
	defaultTimeout = 2 * time.Second
)

// ClientConfig describes a client. URL is required.
type ClientConfig struct {
	// URL is where look-ups are posted to, http or https.
	URL string
	// HTTPClient carries the credential of the calling service. Default: one with a 2 s timeout.
	HTTPClient *http.Client
	// TTL is how long a profile is used without asking again. Default 1 min.
	TTL time.Duration
	// MaxStale is how old a profile may be when the directory does not answer. Default 1 h.
	MaxStale time.Duration
	// MaxEntries bounds the cache. Default 10,000.
	MaxEntries int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client is a Directory behind HTTP: it posts {"ids":[...]} and reads
// {"users":[{"id","name","avatar_url","erased"}]}. IDs travel in the body, never
// in the URL.
type Client struct {
	config ClientConfig
	cache  *cache
}

var _ Directory = (*Client)(nil)

// NewClient returns a client with an empty cache.
func NewClient(config ClientConfig) (*Client, error) {
	address, err := url.Parse(config.URL)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, errors.New("configure directory client: URL must be an absolute http or https address")
	}
	if config.HTTPClient == nil {
		config.HTTPClient = &http.Client{Timeout: defaultTimeout}
	}
	if config.TTL <= 0 {
		config.TTL = time.Minute
	}
	if config.MaxStale <= 0 {
		config.MaxStale = time.Hour
	}
	if config.MaxEntries <= 0 {
		config.MaxEntries = 10_000
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{config: config, cache: newCache(config.MaxEntries)}, nil
}

// Lookup implements [Directory]. IDs that the cache does not know are asked for
// in batches of [MaxBatch]. If the directory does not answer, profiles up to
// MaxStale old stand in; the error is returned with whatever was found only if
// some ID could not be answered at all.
func (c *Client) Lookup(ctx context.Context, ids []string) (map[string]Profile, error) {
	now := c.config.Now()
	found := make(map[string]Profile, len(ids))
	var ask []string
	asked := make(map[string]bool, len(ids))
	for _, id := range ids {
		if asked[id] {
			continue
		}
		asked[id] = true
		if e, ok := c.cache.get(id); ok && now.Sub(e.at) < c.config.TTL {
			e.addTo(found, id)
			continue
		}
		ask = append(ask, id)
	}
	var failure error
	for len(ask) > 0 {
		batch := ask[:min(len(ask), MaxBatch)]
		ask = ask[len(batch):]
		seen := c.cache.generation()
		answer, err := c.fetch(ctx, batch)
		for _, id := range batch {
			e := entry{at: now}
			if err == nil {
				if p, known := answer[id]; known {
					e.profile = &p
				}
				c.cache.put(id, e, seen)
			} else if old, ok := c.cache.get(id); ok && now.Sub(old.at) < c.config.MaxStale {
				e = old
			} else {
				failure = err
				continue
			}
			e.addTo(found, id)
		}
	}
	return found, failure
}

// Forget drops users from the cache, for events that change a profile: a
// rename, an erasure. A look-up that is under way does not bring them back.
func (c *Client) Forget(ids ...string) { c.cache.forget(ids...) }

func (c *Client) fetch(ctx context.Context, ids []string) (answer map[string]Profile, err error) {
	body, err := json.Marshal(struct {
		IDs []string `json:"ids"`
	}{ids})
	if err != nil {
		return nil, fmt.Errorf("encode directory request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make directory request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := c.config.HTTPClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the directory: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the directory: it answered %d", response.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the directory's answer: %w", err)
	}
	var wire struct {
		Users []struct {
			ID string `json:"id"`
			Profile
		} `json:"users"`
	}
	if len(raw) > maxAnswerBytes || json.Unmarshal(raw, &wire) != nil {
		return nil, errors.New("read the directory's answer: too large or not as agreed")
	}
	answer = make(map[string]Profile, len(wire.Users))
	for _, user := range wire.Users {
		if user.Erased {
			user.Profile = Profile{Erased: true} // whatever else the answer still says
		}
		answer[user.ID] = user.Profile
	}
	return answer, nil
}
