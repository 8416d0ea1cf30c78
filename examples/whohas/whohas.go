// Package whohas keeps a local copy of who has which relation to what, from the
// identity events, and answers "every user with admin on org X". Take it where
// administrators ask that often; to decide a request nobody needs it, because
// the caller's token says what the caller may do.
//
// It knows what the events tell, and no more. They name no tenant, because the
// identity provider's webhooks name none: grants of one relation to one entity in
// two tenants are one row here, and the end of one of them ends it. They tell of
// users and of who is in which group, not of what a group was granted. And they
// begin when the durable does: see [Projection.Load].
package whohas

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/pkg/identity/subscriber"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed manifest.yaml
var dispositions []byte

// Sets are the migrations: its own table, and what a consumer and a participant need.
var Sets = []migrate.Set{
	{Name: "whohas", FS: migrations, Dir: "migrations"},
	{Name: "mailbox", FS: mailbox.Migrations, Dir: "migrations"},
	{Name: "participant", FS: participant.Migrations, Dir: "migrations"},
}

// Manifest says what an erasure does with the table.
func Manifest() (*participant.Manifest, error) { return participant.ParseManifest(dispositions) }

// held says what a change leaves behind. One of a later version of the contract
// is not in it and changes nothing.
var held = map[string]bool{"granted": true, "condition_updated": true, "revoked": false}

// Projection is the copy in one database.
type Projection struct {
	pool       *pgxpool.Pool
	tombstones *participant.Tombstones
}

// New makes a projection. tombstones keep a late event from bringing an erased
// user back.
func New(pool *pgxpool.Pool, tombstones *participant.Tombstones) *Projection {
	return &Projection{pool: pool, tombstones: tombstones}
}

// Consumer applies the access events of a durable that was declared with the
// filter identity.v1.access.>.
func (p *Projection) Consumer(js jetstream.JetStream, stream, durable string, log *slog.Logger) (*mailbox.Consumer, error) {
	handler, err := subscriber.Handler(subscriber.OnData(identity.TypeAccessChanged, p.apply))
	if err != nil {
		return nil, err
	}
	return mailbox.NewConsumer(js, p.pool, mailbox.ConsumerConfig{Stream: stream, Durable: durable, Handler: handler, Logger: log})
}

// apply keeps the row of a revoked relation: its version tells an older grant
// that comes later. The user's erasure takes it away.
func (p *Projection) apply(ctx context.Context, tx pgx.Tx, e identity.Event, c identity.AccessChange) error {
	holds, known := held[c.Change]
	if !known || c.EntityType == "" || c.Relation == "" {
		return nil
	}
	if erased, err := p.erased(ctx, tx, e.UserID); err != nil || erased {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO access AS a (entity_type, entity_id, relation, user_id, held, version) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (entity_type, entity_id, relation, user_id) DO UPDATE SET held = EXCLUDED.held, version = EXCLUDED.version
		WHERE a.version < EXCLUDED.version`,
		c.EntityType, c.EntityID, c.Relation, e.UserID, holds, int64(e.Version)) //nolint:gosec // identity.Decode bounds it
	if err != nil {
		return fmt.Errorf("apply a change of access: %w", err)
	}
	return nil
}

func (p *Projection) erased(ctx context.Context, tx pgx.Tx, userID string) (bool, error) {
	err := p.tombstones.Refuse(ctx, tx, userID)
	if errors.Is(err, participant.ErrErased) {
		return true, nil
	}
	return false, err
}

// Grant is one that the identity provider lists.
type Grant struct {
	EntityType, EntityID, Relation, UserID string
}

// Load adds the grants that are older than the events which the durable gets.
// Declare the durable first and take the provider's list then: of what changes in
// between there is an event, and every event wins over the list. Loading a list
// again does no harm, but does not take away what is missing from it.
func (p *Projection) Load(ctx context.Context, list []Grant) error {
	for _, g := range list {
		// A transaction each: erasures wait for whoever writes.
		err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
			if erased, err := p.erased(ctx, tx, g.UserID); err != nil || erased {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO access (entity_type, entity_id, relation, user_id, held, version) VALUES ($1, $2, $3, $4, true, 0)
				ON CONFLICT (entity_type, entity_id, relation, user_id) DO NOTHING`, g.EntityType, g.EntityID, g.Relation, g.UserID)
			return err
		})
		if err != nil {
			return fmt.Errorf("load a grant: %w", err)
		}
	}
	return nil
}

// Users lists the IDs of at most limit users who have the relation to the entity,
// in order, beginning after one of them ("" for the first).
func (p *Projection) Users(ctx context.Context, entityType, entityID, relation, after string, limit int) ([]string, error) {
	rows, err := p.pool.Query(ctx, `SELECT user_id FROM access
		WHERE entity_type = $1 AND entity_id = $2 AND relation = $3 AND held AND user_id > $4 ORDER BY user_id LIMIT $5`,
		entityType, entityID, relation, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list users with access: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
