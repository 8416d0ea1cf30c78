package authn

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"
)

// AutherAskerOptions of NewAutherAsker. The zero value is usable.
type AutherAskerOptions struct {
	// HTTPClient sends the questions; nil is a plain one. Redirects are not followed.
	HTTPClient *http.Client
	// Timeout bounds one question; 0 is 2 seconds.
	Timeout time.Duration
	// FailuresToOpen is how many failures in a row open the breaker; 0 is 5.
	FailuresToOpen uint32
	// OpenFor is how long an open breaker asks nothing; 0 is 5 seconds.
	OpenFor time.Duration
}

const (
	defaultAskTimeout     = 2 * time.Second
	defaultFailuresToOpen = 5
	defaultOpenFor        = 5 * time.Second
	maxAskAnswerBytes     = 64 << 10
)

type autherAsker struct {
	url     string
	client  *http.Client
	timeout time.Duration
	breaker *gobreaker.CircuitBreaker[bool]
}

// NewAutherAsker asks Auther's check-permission endpoint, with the principal's
// own token, so that the IdP sees who asks. A question is sent once and never
// repeated; after failures in a row a circuit breaker stops asking for a while.
// Every answer that is no clear yes or no is ErrCannotAsk.
func NewAutherAsker(checkPermissionURL string, opts AutherAskerOptions) Asker {
	a := &autherAsker{url: checkPermissionURL, client: withoutRedirects(opts.HTTPClient), timeout: opts.Timeout}
	if a.timeout <= 0 {
		a.timeout = defaultAskTimeout
	}
	if opts.FailuresToOpen == 0 {
		opts.FailuresToOpen = defaultFailuresToOpen
	}
	if opts.OpenFor <= 0 {
		opts.OpenFor = defaultOpenFor
	}
	a.breaker = gobreaker.NewCircuitBreaker[bool](gobreaker.Settings{
		Name:        "check-permission",
		Timeout:     opts.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= opts.FailuresToOpen },
		// A caller that gives up, or an answer that is about this one question,
		// says nothing about the endpoint's health.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errAnswered) },
	})
	return a
}

// errAnswered marks refusals that show the endpoint is alive.
var errAnswered = errors.New("check-permission refused the question")

type checkRequest struct {
	EntityType string         `json:"entityType"`
	EntityID   string         `json:"entityId"`
	Permission string         `json:"permission"`
	Resource   *checkResource `json:"resource,omitempty"`
}

type checkResource struct {
	ID         string         `json:"id,omitempty"`
	Type       string         `json:"type,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Ask implements Asker.
func (a *autherAsker) Ask(ctx context.Context, p *Principal, q Question) (bool, error) {
	if p == nil {
		return false, fmt.Errorf("%w: nobody asks", ErrCannotAsk)
	}
	remote := p.EntityType(q.EntityType)
	body := checkRequest{EntityType: remote, EntityID: q.EntityID, Permission: q.Permission}
	if len(q.Attributes) > 0 {
		body.Resource = &checkResource{ID: q.EntityID, Type: remote, Attributes: q.Attributes}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return false, fmt.Errorf("%w: encode question: %w", ErrCannotAsk, err)
	}
	allowed, err := a.breaker.Execute(func() (bool, error) { return a.send(ctx, p, data) })
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrCannotAsk, err)
	}
	return allowed, nil
}

func (a *autherAsker) send(ctx context.Context, p *Principal, body []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("build question: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token())
	resp, err := a.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("send question: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAskAnswerBytes))
	if err != nil {
		return false, fmt.Errorf("read answer: %w", err)
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		var answer struct {
			Allowed *bool `json:"allowed"`
		}
		if err := json.Unmarshal(data, &answer); err != nil || answer.Allowed == nil {
			return false, errors.New("answer says neither yes nor no")
		}
		return *answer.Allowed, nil
	case resp.StatusCode == http.StatusForbidden: // another client's entity: a clear no
		return false, nil
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return false, fmt.Errorf("status %d", resp.StatusCode)
	default:
		return false, fmt.Errorf("%w: status %d", errAnswered, resp.StatusCode)
	}
}
