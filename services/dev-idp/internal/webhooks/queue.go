package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

// DefaultRetries are the waits before the second, third and fourth attempt.
var DefaultRetries = []time.Duration{12 * time.Second, 150 * time.Second, 30 * time.Minute}

const (
	deliveryTimeout = 5 * time.Second
	// lease is how long a claimed delivery is nobody else's; a process that dies
	// in the middle delays it by that.
	lease     = 30 * time.Second
	batchSize = 16
	pollEvery = 500 * time.Millisecond
)

// Queue stores deliveries and sends them.
type Queue struct {
	pool      *pgxpool.Pool
	mode      mode.Mode
	endpoints map[string]settings.Webhook
	order     []string
	retries   []time.Duration
	client    *http.Client
	log       *slog.Logger
	now       func() time.Time
	wake      chan struct{}
}

// Options of a queue.
type Options struct {
	Mode      mode.Mode
	Endpoints []settings.Webhook
	Retries   []time.Duration // DefaultRetries when nil
	Client    *http.Client
	Logger    *slog.Logger
	Now       func() time.Time
}

// NewQueue makes the queue; Run delivers.
func NewQueue(pool *pgxpool.Pool, opts Options) *Queue {
	q := &Queue{
		pool: pool, mode: opts.Mode, endpoints: map[string]settings.Webhook{}, retries: opts.Retries,
		log: opts.Logger, now: opts.Now, wake: make(chan struct{}, 1),
	}
	if q.retries == nil {
		q.retries = DefaultRetries
	}
	for _, endpoint := range opts.Endpoints {
		q.endpoints[endpoint.Name] = endpoint
		q.order = append(q.order, endpoint.Name)
	}
	client := http.Client{}
	if opts.Client != nil {
		client = *opts.Client
	}
	client.Timeout = deliveryTimeout
	// A redirect is no 2xx: it is retried, never followed with a signed body.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	q.client = &client
	return q
}

// Enqueue stores what is owed to the endpoints in the caller's transaction. Call
// Wake after the commit.
func (q *Queue) Enqueue(ctx context.Context, db database.Querier, events ...Event) error {
	for _, event := range events {
		if event.neverSent(q.mode) {
			continue
		}
		data, err := plainJSON(event.Data)
		if err != nil {
			return err
		}
		// One fact has one ID for all endpoints, save grants: those are announced
		// to each subscriber apart.
		shared := newEventID()
		for _, name := range q.order {
			endpoint := q.endpoints[name]
			if reaches, err := q.reaches(ctx, db, event, endpoint); err != nil {
				return err
			} else if !reaches {
				continue
			}
			id := shared
			if event.Type == GrantCreated || event.Type == GrantRevoked {
				id = newEventID()
			}
			if err := q.insert(ctx, db, endpoint, envelope{
				ID: id, Origin: event.origin(), Type: event.Type, Timestamp: wholeSecond(q.now()), Data: json.RawMessage(data),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// reaches says whether the endpoint hears of the event.
func (q *Queue) reaches(ctx context.Context, db database.Querier, event Event, endpoint settings.Webhook) (bool, error) {
	if !q.mode.Observed() || !event.personal() {
		return true, nil
	}
	if endpoint.OwnerEmail == "" {
		return false, nil
	}
	var owns bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND email = lower($2))`, event.UserID, endpoint.OwnerEmail).Scan(&owns)
	if err != nil {
		return false, fmt.Errorf("find a webhook's owner: %w", err)
	}
	return owns, nil
}

func (q *Queue) insert(ctx context.Context, db database.Querier, endpoint settings.Webhook, e envelope) error {
	body, contentType, err := e.encode(endpoint.Format)
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `INSERT INTO webhook_deliveries (endpoint, event_id, origin, event_type, timestamp_ms, content_type, body, due_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, endpoint.Name, e.ID, e.Origin, e.Type, e.Timestamp, contentType, body, q.now())
	if err != nil {
		return fmt.Errorf("queue a webhook: %w", err)
	}
	return nil
}

// Wake makes Run look at once.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// delivery is one claimed row.
type delivery struct {
	ID          int64  `db:"id"`
	Endpoint    string `db:"endpoint"`
	EventID     string `db:"event_id"`
	Origin      string `db:"origin"`
	EventType   string `db:"event_type"`
	TimestampMS int64  `db:"timestamp_ms"`
	ContentType string `db:"content_type"`
	Body        []byte `db:"body"`
	Attempts    int    `db:"attempts"`
}

func (q *Queue) claim(ctx context.Context) ([]delivery, error) {
	now := q.now()
	rows, err := q.pool.Query(ctx, `UPDATE webhook_deliveries SET due_at = $2, attempts = attempts + 1
		WHERE id IN (SELECT id FROM webhook_deliveries WHERE due_at <= $1 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING id, endpoint, event_id, origin, event_type, timestamp_ms, content_type, body, attempts`, now, now.Add(lease), batchSize)
	if err != nil {
		return nil, fmt.Errorf("claim webhooks: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[delivery])
}
