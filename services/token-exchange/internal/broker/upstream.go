// Package broker gets tokens from another issuer: it holds each client's key at
// an upstream Auther, exchanges that, and hands on what it gets. The caller's own
// credential never goes up, and nothing of the upstream's answers comes down but
// a verified token.
package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	// Path of Auther's exchange, behind the upstream's base URL.
	Path = "/api/auth/api-key/exchange"
	// maxAnswer fits a token of the largest size that is verified, several times.
	maxAnswer = 64 << 10
	// Timeout of one exchange upstream.
	Timeout = 5 * time.Second
)

// Ways in which an upstream fails.
var (
	// ErrUnreachable: no answer, or one that says to come back later.
	ErrUnreachable = errors.New("the upstream does not answer")
	// ErrBroken: an answer that is none.
	ErrBroken = errors.New("the upstream's answer is not valid")
	// ErrKeyRefused: the upstream knows the key no more, or not for this.
	ErrKeyRefused = errors.New("the upstream refused the client's key")
	// ErrCannotExchange: Auther as shipped, which answers 500 to every valid key.
	ErrCannotExchange = errors.New("the upstream answers 500 to a key that it accepts: " +
		"an Auther whose exchange is broken (\"Failed to process signing key\"); use TOKEN_EXCHANGE_MODE=issuer instead")
)

// Upstream is one Auther.
type Upstream struct {
	url    string
	client *http.Client
}

// NewUpstream makes a client of the Auther at base. It follows no redirect: one
// would carry a key to a host that nobody chose.
func NewUpstream(base string, client *http.Client) *Upstream {
	own := *client
	own.Timeout = Timeout
	own.Jar = nil
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Upstream{url: base + Path, client: &own}
}

// Exchange trades the upstream key for a token, which is yet to be verified. The
// errors wrap one of the ways above and quote nothing that the upstream sent.
func (u *Upstream) Exchange(ctx context.Context, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"apiKey": key})
	if err != nil {
		return "", fmt.Errorf("encode the exchange: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("build the exchange: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := u.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if err := judge(resp, raw); err != nil {
		return "", err
	}
	var answer struct {
		Token     string `json:"token"`
		TokenType string `json:"tokenType"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Token == "" || answer.TokenType != "Bearer" {
		return "", fmt.Errorf("%w: no token in it", ErrBroken)
	}
	return answer.Token, nil
}

// judge says what is wrong with an answer, from its status and its form alone.
func judge(resp *http.Response, raw []byte) error {
	status := resp.StatusCode
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return fmt.Errorf("%w: status %d", ErrUnreachable, status)
	case status == http.StatusInternalServerError && brokenSigning(raw):
		return ErrCannotExchange
	case status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: status %d", ErrBroken, status)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: status %d: there is no exchange at this address", ErrBroken, status)
	case status >= http.StatusBadRequest:
		return fmt.Errorf("%w: status %d", ErrKeyRefused, status)
	case status >= http.StatusMultipleChoices:
		return fmt.Errorf("%w: a redirect (%d), which is not followed", ErrBroken, status)
	case status != http.StatusOK:
		return fmt.Errorf("%w: status %d", ErrBroken, status)
	case len(raw) > maxAnswer:
		return fmt.Errorf("%w: larger than %d bytes", ErrBroken, maxAnswer)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fmt.Errorf("%w: it is not JSON", ErrBroken)
	}
	return nil
}

// brokenSigning recognizes what Auther as shipped says.
func brokenSigning(raw []byte) bool {
	var answer struct{ Error, Message string }
	return json.Unmarshal(raw, &answer) == nil && answer.Error == "internal_error" && answer.Message == "Failed to process signing key"
}
