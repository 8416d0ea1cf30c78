package authn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/MicahParks/jwkset"
)

const (
	// fetchTimeout bounds one request for a key set.
	fetchTimeout = 5 * time.Second
	// maxETagBytes caps an ETag that is sent back.
	maxETagBytes = 1 << 10
)

// keyFetcher gets an issuer's key set over HTTP. One goroutine uses it.
type keyFetcher struct {
	client *http.Client
	urls   []string
	now    func() time.Time
	// known is the last usable answer of each URL that came with an ETag.
	known map[string]taggedKeys
}

// taggedKeys is an answer that the server may call unchanged by its ETag.
type taggedKeys struct {
	etag string
	keys fetchedKeys
}

func newKeyFetcher(client *http.Client, urls []string, now func() time.Time) *keyFetcher {
	own := &http.Client{}
	if client != nil {
		*own = *client
	}
	own.CheckRedirect = sameHostOnly
	return &keyFetcher{client: own, urls: urls, now: now, known: make(map[string]taggedKeys)}
}

// sameHostOnly keeps a redirect from choosing whose keys are trusted.
func sameHostOnly(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > 3:
		return errors.New("more than 3 redirects")
	case req.URL.Host != first.Host || req.URL.Scheme != first.Scheme:
		return errors.New("redirect to another host")
	default:
		return nil
	}
}

// fetchedKeys is one usable answer.
type fetchedKeys struct {
	raw     []byte
	keys    []jwkset.JWK
	skipped []error
	// maxAge is what Cache-Control grants from now on, 0 where it says nothing.
	maxAge time.Duration
}

// fetch tries the URLs in order and returns the first set with a usable key.
// A set without one, an empty set above all, is a failure: it wipes nothing.
func (f *keyFetcher) fetch(ctx context.Context) (fetchedKeys, error) {
	var errs []error
	for i, url := range f.urls {
		got, err := f.fetchOne(ctx, url)
		if err == nil {
			return got, nil
		}
		errs = append(errs, fmt.Errorf("jwks_urls[%d]: %w", i, err))
		if ctx.Err() != nil {
			break
		}
	}
	return fetchedKeys{}, errors.Join(errs...)
}

func (f *keyFetcher) fetchOne(ctx context.Context, url string) (fetchedKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fetchedKeys{}, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	known, tagged := f.known[url]
	if tagged {
		req.Header.Set("If-None-Match", known.etag)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return fetchedKeys{}, fmt.Errorf("get key set: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	maxAge := freshFor(resp.Header, f.now())
	switch {
	case resp.StatusCode == http.StatusNotModified && tagged:
		known.keys.maxAge, known.keys.skipped = maxAge, nil // told about when they came
		return known.keys, nil
	case resp.StatusCode != http.StatusOK:
		return fetchedKeys{}, fmt.Errorf("get key set: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return fetchedKeys{}, fmt.Errorf("read key set: %w", err)
	}
	keys, skipped, err := parseJWKS(raw)
	if err != nil {
		return fetchedKeys{}, err
	}
	if len(keys) == 0 {
		return fetchedKeys{}, errors.Join(append([]error{errors.New("key set has no usable key")}, skipped...)...)
	}
	got := fetchedKeys{raw: raw, keys: keys, skipped: skipped, maxAge: maxAge}
	f.remember(url, resp.Header.Get("ETag"), got)
	return got, nil
}

// remember keeps a usable answer for the next conditional request.
func (f *keyFetcher) remember(url, etag string, got fetchedKeys) {
	if etag == "" || len(etag) > maxETagBytes {
		delete(f.known, url)
		return
	}
	f.known[url] = taggedKeys{etag: etag, keys: got}
}
