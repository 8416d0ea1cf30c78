package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/pkg/identity"
)

// Pattern of the webhook's route.
const Pattern = "POST /v1/webhooks/auther"

const (
	// maxBody of a delivery, in bytes. The largest that was seen has 600.
	maxBody = 256 << 10
	// maxAhead is how far the provider's clock may be ahead of ours.
	maxAhead = 5 * time.Minute
	// retention is how long a delivery is remembered, far above any age that is accepted.
	retention  = 7 * 24 * time.Hour
	pruneEvery = time.Hour
)

// What a delivery can be refused for. The sender repeats it, and gives up.
var (
	ErrSignature = problem.New(http.StatusUnauthorized, "invalid-signature", "The delivery's signature is not valid.")
	ErrAge       = problem.New(http.StatusBadRequest, "delivery-too-old", "The delivery is too old, or from the future.")
	ErrDelivery  = problem.New(http.StatusBadRequest, "invalid-delivery", "This is not a delivery of the identity provider.")
)

// Webhook takes the provider's deliveries about users.
type Webhook struct {
	Table       *Table
	SecretsFile string
	// MaxAge of a delivery's timestamp, which its retries repeat.
	MaxAge time.Duration
	Now    func() time.Time
	Log    *slog.Logger
}

// ServeHTTP judges a delivery in this order: signature over the raw bytes, age,
// form, and that the headers, which nobody signed, say what the body says. It
// answers 204 after the commit.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	d, err := w.read(rw, r)
	if err == nil {
		err = w.Table.deliver(r.Context(), d)
	}
	switch _, refused := errors.AsType[*problem.Error](err); {
	case err == nil:
		rw.WriteHeader(http.StatusNoContent)
	case refused:
		w.Log.WarnContext(r.Context(), "webhook refused", "error", err)
		problem.Write(rw, r, err)
	default:
		problem.Write(rw, r, problem.ErrUnavailable.Because(err))
	}
}

func (w *Webhook) read(rw http.ResponseWriter, r *http.Request) (delivery, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		return delivery{}, ErrDelivery.Becausef("the body could not be read whole")
	}
	secrets, err := readSecrets(w.SecretsFile)
	if err != nil {
		return delivery{}, err
	}
	timestamp := r.Header.Get("X-Webhook-Timestamp")
	if !signed(secrets, timestamp, raw, r.Header.Get("X-Webhook-Signature")) {
		return delivery{}, ErrSignature
	}
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return delivery{}, ErrDelivery.Becausef("the timestamp is no number")
	}
	if age := w.Now().Sub(time.UnixMilli(ms)); age > w.MaxAge || age < -maxAhead {
		return delivery{}, ErrAge
	}
	d, err := parse(r.Header.Get("Content-Type"), raw)
	if err != nil {
		return delivery{}, ErrDelivery.Because(err)
	}
	if d.Timestamp != ms || d.ID != r.Header.Get("X-Webhook-Id") {
		return delivery{}, ErrDelivery.Becausef("the headers say something else than the body")
	}
	return d, nil
}

// deliver applies a delivery once.
func (t *Table) deliver(ctx context.Context, d delivery) error {
	if !d.concernsUsers() {
		return nil
	}
	var data struct {
		ID        string     `json:"id"`
		Name      *string    `json:"name"`
		Email     *string    `json:"email"`
		Image     *string    `json:"image"`
		Banned    *bool      `json:"banned"`
		UpdatedAt *time.Time `json:"updatedAt"`
	}
	if json.Unmarshal(d.Data, &data) != nil || identity.CheckUserID(data.ID) != nil {
		return ErrDelivery.Becausef("its data is not a user's")
	}
	profile := Profile{ID: data.ID, Name: data.Name, Email: data.Email, AvatarURL: data.Image, Banned: data.Banned, UpdatedAt: time.UnixMilli(d.Timestamp)}
	if data.UpdatedAt != nil {
		profile.UpdatedAt = *data.UpdatedAt // in milliseconds; the delivery's has whole seconds
	}
	err := pgx.BeginTxFunc(ctx, t.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO user_deliveries (id) VALUES ($1) ON CONFLICT ON CONSTRAINT user_deliveries_pkey DO NOTHING`, d.ID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if d.Type == typeDeleted {
			_, err = t.Delete(ctx, tx, profile.ID)
			return err
		}
		_, err = t.change(ctx, tx, profile)
		return err
	})
	t.seen.forget(profile.ID) // again: another request may have read the row before the commit
	if err != nil {
		return fmt.Errorf("apply a delivery: %w", err)
	}
	return nil
}

// Prune forgets deliveries older than any that is accepted, each hour until ctx ends.
func (w *Webhook) Prune(ctx context.Context) error {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		_, err := w.Table.pool.Exec(ctx, `DELETE FROM user_deliveries WHERE received_at < now() - make_interval(secs => $1)`, retention.Seconds())
		if err != nil && ctx.Err() == nil {
			w.Log.WarnContext(ctx, "pruning failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
