package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	discoveryTimeout  = 5 * time.Second
	discoveryLife     = time.Hour
	discoveryPause    = time.Second // after a failure, so that waiting requests do not each wait it out
	maxDiscoveryBytes = 256 << 10
)

// discovery finds the provider's endpoints. Its address is configured apart
// from the issuer: not every provider serves it where OpenID Connect Discovery
// says. Nothing is fetched at start, and what was fetched once is kept while the
// provider is down.
type discovery struct {
	url, issuer string
	client      *http.Client
	plainHTTP   bool // development only
	now         func() time.Time

	mu      sync.Mutex
	known   oauth2.Endpoint
	fetched time.Time
	failure error
	failed  time.Time
}

func (d *discovery) endpoint(ctx context.Context) (oauth2.Endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if d.known.TokenURL != "" && now.Sub(d.fetched) < discoveryLife {
		return d.known, nil
	}
	if d.failure == nil || now.Sub(d.failed) >= discoveryPause {
		found, err := d.fetch(ctx)
		if d.failure = err; err != nil {
			d.failed = d.now()
		} else {
			d.known, d.fetched = found, now
		}
	}
	if d.known.TokenURL == "" {
		return oauth2.Endpoint{}, d.failure
	}
	return d.known, nil
}

func (d *discovery) fetch(ctx context.Context) (oauth2.Endpoint, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("ask for the provider's metadata: %w", err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: discovery: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return oauth2.Endpoint{}, fmt.Errorf("%w: discovery answered %d", ErrUnavailable, resp.StatusCode)
	}
	var doc struct {
		Issuer        string `json:"issuer"`
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDiscoveryBytes)).Decode(&doc); err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: read discovery: %w", ErrUnavailable, err)
	}
	if doc.Issuer != d.issuer {
		return oauth2.Endpoint{}, fmt.Errorf("%w: discovery names another issuer than CONSOLE_ISSUER", ErrUnavailable)
	}
	for _, endpoint := range []string{doc.Authorization, doc.Token} {
		if err := d.usable(endpoint); err != nil {
			return oauth2.Endpoint{}, fmt.Errorf("%w: discovery: %w", ErrUnavailable, err)
		}
	}
	return oauth2.Endpoint{AuthURL: doc.Authorization, TokenURL: doc.Token, AuthStyle: oauth2.AuthStyleInHeader}, nil
}

func (d *discovery) usable(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return errors.New("an endpoint is missing")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !d.plainHTTP) {
		return errors.New("an endpoint is not https")
	}
	return nil
}
