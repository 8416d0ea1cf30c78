package webhooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Run delivers until ctx ends; what is on its way then is finished first.
func (q *Queue) Run(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		more, err := q.deliverDue(ctx)
		if err != nil && ctx.Err() == nil {
			q.log.Error("webhooks cannot be delivered", "error", err)
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-ticker.C:
		}
	}
}

// deliverDue sends one batch and says whether the next may be waiting.
func (q *Queue) deliverDue(ctx context.Context) (bool, error) {
	batch, err := q.claim(ctx)
	if err != nil {
		return false, err
	}
	var group sync.WaitGroup
	for _, d := range batch {
		group.Go(func() {
			// A delivery that has begun is not cut off by the shutdown: the receiver
			// may have taken it already.
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*deliveryTimeout)
			defer cancel()
			if err := q.settle(bounded, d, q.send(bounded, d)); err != nil {
				q.log.Error("a webhook's outcome was not kept", "event", d.EventID, "error", err)
			}
		})
	}
	group.Wait()
	return len(batch) == batchSize, nil
}

// send posts the delivery; nil for a 2xx. Every attempt has the same bytes,
// timestamp and signature.
func (q *Queue) send(ctx context.Context, d delivery) error {
	endpoint, ok := q.endpoints[d.Endpoint]
	if !ok {
		return errGone
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, bytes.NewReader(d.Body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", d.ContentType)
	request.Header.Set("User-Agent", "node")
	request.Header.Set("X-Webhook-Id", d.EventID)
	request.Header.Set("X-Webhook-Origin", d.Origin)
	request.Header.Set("X-Webhook-Timestamp", strconv.FormatInt(d.TimestampMS, 10))
	request.Header.Set("X-Webhook-Signature", Sign(endpoint.Secret.Value, d.TimestampMS, d.Body))
	response, err := q.client.Do(request)
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // the answer's body does not matter
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the endpoint answered %d", response.StatusCode)
	}
	return nil
}

// errGone is an endpoint that is no longer configured.
var errGone = errors.New("the endpoint is not configured")

// settle forgets a delivery that was taken or has no retry left, and puts any
// other one off.
func (q *Queue) settle(ctx context.Context, d delivery, fault error) error {
	final := fault == nil || errors.Is(fault, errGone) || d.Attempts > len(q.retries)
	if fault != nil {
		level := slog.LevelWarn
		if final {
			level = slog.LevelError
		}
		q.log.Log(ctx, level, "a webhook was not delivered",
			"event", d.EventID, "type", d.EventType, "endpoint", d.Endpoint, "attempt", d.Attempts, "last", final, "error", fault)
	}
	if final {
		_, err := q.pool.Exec(ctx, `DELETE FROM webhook_deliveries WHERE id = $1`, d.ID)
		return err
	}
	_, err := q.pool.Exec(ctx, `UPDATE webhook_deliveries SET due_at = $2 WHERE id = $1`, d.ID, q.now().Add(q.retries[d.Attempts-1]))
	return err
}
