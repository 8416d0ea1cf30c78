package userlist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxAnswer    = 8 << 20 // bytes; a page of 500 users has about 200 KB
	defaultPause = 2 * time.Second
	maxPause     = 30 * time.Second

	// Attempts of one call that is told to come later.
	Attempts = 4
)

// Caller keeps to a rate and bounds answers.
type Caller struct {
	client  *http.Client
	limiter *rate.Limiter
}

// NewCaller makes one for this many requests a second.
func NewCaller(client *http.Client, perSecond float64) *Caller {
	return &Caller{client: client, limiter: rate.NewLimiter(rate.Limit(perSecond), 1)}
}

// Do reads the whole answer. Its errors never quote the URL, which may hold an ID.
func (c *Caller) Do(req *http.Request) (*http.Response, []byte, error) {
	if err := c.limiter.Wait(req.Context()); err != nil {
		return nil, nil, fmt.Errorf("wait for the rate limit: %w", err)
	}
	resp, err := c.client.Do(req) //nolint:gosec // the identity provider's URL is configuration
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, nil, fmt.Errorf("ask the identity provider: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("%w: larger than %d bytes", ErrAnswer, maxAnswer)
	}
	return resp, body, nil
}

// Pause waits for as many seconds as the header says, within reason.
func Pause(ctx context.Context, retryAfter string) error {
	wait := defaultPause
	if seconds, err := strconv.Atoi(retryAfter); err == nil && seconds >= 0 {
		wait = min(time.Duration(seconds)*time.Second, maxPause)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait to be let in again: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
