package permissions

import (
	"context"
	"crypto/sha1" //nolint:gosec // names a tuple as the original does; nothing is protected by it
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/dev-idp/internal/database"
)

// Kinds of subjects.
const (
	SubjectUser   = "user"
	SubjectGroup  = "group"
	SubjectAPIKey = "apikey"
)

// AnyEntity is the entity ID of a grant on every entity of a type.
const AnyEntity = "*"

// Tuple is a relation of a subject on an entity.
type Tuple struct {
	SubjectType string    `db:"subject_type"`
	SubjectID   string    `db:"subject_id"`
	EntityType  string    `db:"entity_type"`
	EntityID    string    `db:"entity_id"`
	Relation    string    `db:"relation"`
	TenantID    string    `db:"tenant_id"`
	CreatedAt   time.Time `db:"created_at"`
}

// ID names the tuple by its content, so a grant that is revoked and given again
// has the same one.
func (t Tuple) ID() string {
	sum := sha1.Sum([]byte(strings.Join([]string{t.SubjectType, t.SubjectID, t.EntityType, t.EntityID, t.Relation, t.TenantID}, "\x00"))) //nolint:gosec // see the import
	return "tpl_" + hex.EncodeToString(sum[:])
}

// Client is the client whose type the tuple is about; "" for platform types.
func (t Tuple) Client() string { return ClientOf(t.EntityType) }

// ClientOf reads the client out of "client_<client>:<type>".
func ClientOf(entityType string) string {
	rest, ok := strings.CutPrefix(entityType, "client_")
	if !ok {
		return ""
	}
	client, _, ok := strings.Cut(rest, ":")
	if !ok {
		return ""
	}
	return client
}

// Add stores a tuple; false if it was there.
func Add(ctx context.Context, db database.Querier, t Tuple) (bool, error) {
	tag, err := db.Exec(ctx, `INSERT INTO grants
		(tuple_id, subject_type, subject_id, entity_type, entity_id, relation, tenant_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tuple_id) DO NOTHING`,
		t.ID(), t.SubjectType, t.SubjectID, t.EntityType, t.EntityID, t.Relation, t.TenantID, t.CreatedAt)
	if err != nil {
		return false, fmt.Errorf("add a grant: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Remove deletes a tuple; false if it was not there.
func Remove(ctx context.Context, db database.Querier, t Tuple) (bool, error) {
	tag, err := db.Exec(ctx, `DELETE FROM grants WHERE tuple_id = $1`, t.ID())
	if err != nil {
		return false, fmt.Errorf("remove a grant: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// OfUser lists a user's tuples, those of their groups included.
func OfUser(ctx context.Context, db database.Querier, userID string) ([]Tuple, error) {
	return collect(ctx, db, `WHERE (subject_type = 'user' AND subject_id = $1)
		OR (subject_type = 'group' AND subject_id IN (SELECT group_id FROM group_members WHERE user_id = $1))`, userID)
}

// OfAPIKey lists a key's tuples.
func OfAPIKey(ctx context.Context, db database.Querier, keyID string) ([]Tuple, error) {
	return collect(ctx, db, `WHERE subject_type = 'apikey' AND subject_id = $1`, keyID)
}

func collect(ctx context.Context, db database.Querier, where string, args ...any) ([]Tuple, error) {
	rows, err := db.Query(ctx, `SELECT subject_type, subject_id, entity_type, entity_id, relation, tenant_id, created_at
		FROM grants `+where+` ORDER BY entity_type, entity_id, relation, tuple_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Tuple])
}

// AddMember puts a user into a group; false if they were in it.
func AddMember(ctx context.Context, db database.Querier, groupID, userID string, now time.Time) (bool, error) {
	tag, err := db.Exec(ctx, `INSERT INTO group_members (group_id, user_id, created_at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, groupID, userID, now)
	if err != nil {
		return false, fmt.Errorf("add a group member: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// RemoveMember takes a user out of a group; false if they were not in it.
func RemoveMember(ctx context.Context, db database.Querier, groupID, userID string) (bool, error) {
	tag, err := db.Exec(ctx, `DELETE FROM group_members WHERE group_id = $1 AND user_id = $2`, groupID, userID)
	if err != nil {
		return false, fmt.Errorf("remove a group member: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
