// Package apiclient is what the HTTP clients of services/*/api share: a bearer
// per call, bounded answers, and problems as typed errors.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 4 << 20

// Error is a refusal that the service explained (RFC 9457).
type Error struct {
	Status     int           `json:"status"`
	Code       string        `json:"code"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("answered %d %s", e.Status, e.Code)
	}
	return fmt.Sprintf("answered %d %s: %s", e.Status, e.Code, e.Detail)
}

// Client calls one service.
type Client struct {
	base *url.URL
	http *http.Client
}

// New makes a client for the service at base.
func New(base string, client *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("base URL %q is not an http or https URL", base)
	}
	if client == nil {
		return nil, errors.New("an HTTP client is required")
	}
	return &Client{base: u, http: client}, nil
}

// Call is one request. Empty fields are left out.
type Call struct {
	Method         string
	Path           []string // segments, escaped here
	Query          url.Values
	Bearer         string
	IdempotencyKey string
	IfMatch        int64 // version; 0: any
	Body           any
}

// Do makes the call and decodes its answer; the one to 204 is the zero value. A
// refusal is an *Error; anything else means that it is unknown whether the service
// acted.
func Do[Resp any](ctx context.Context, c *Client, call Call) (Resp, error) {
	var answer Resp
	req, err := c.request(ctx, call)
	if err != nil {
		return answer, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer, fmt.Errorf("call: %w", unquoted(err))
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer, fmt.Errorf("read the answer: %w", err)
	}
	if len(raw) > maxAnswer {
		return answer, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answer, refusal(resp, raw)
	}
	if resp.StatusCode == http.StatusNoContent {
		return answer, nil
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("decode the answer: %w", err)
	}
	return answer, nil
}

func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	var body io.Reader
	if call.Body != nil {
		raw, err := json.Marshal(call.Body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	segments := make([]string, len(call.Path))
	for i, s := range call.Path {
		segments[i] = url.PathEscape(s)
	}
	u := c.base.JoinPath(segments...)
	u.RawQuery = call.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, call.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+call.Bearer)
	}
	if call.IdempotencyKey != "" {
		req.Header.Set("Idempotency-Key", call.IdempotencyKey)
	}
	if call.IfMatch > 0 {
		req.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(call.IfMatch, 10)))
	}
	return req, nil
}

func refusal(resp *http.Response, raw []byte) error {
	e := &Error{}
	if json.Unmarshal(raw, e) != nil || e.Code == "" {
		// Not ours: a proxy in between. Its text is not repeated.
		e = &Error{Code: "unexplained", Title: http.StatusText(resp.StatusCode)}
	}
	e.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// unquoted drops the URL from net/http's error: it may hold a user's ID.
func unquoted(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
