package permissions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
)

// Change is what an access.changed event says.
type Change struct {
	UserID  string
	Grant   Grant
	Revoked bool
	Version uint64
}

// Store keeps the projection.
type Store interface {
	Projection
	// Apply takes a change unless a later version was applied before. It does
	// nothing for a user who was erased.
	Apply(ctx context.Context, tx pgx.Tx, c Change) error
}

// Apply takes what an access.changed event says; others change nothing.
func Apply(ctx context.Context, tx pgx.Tx, s Store, e identity.Event) error {
	if e.Type != identity.TypeAccessChanged {
		return nil
	}
	c, ok, err := changeOf(e)
	if err != nil || !ok {
		return err
	}
	return s.Apply(ctx, tx, c)
}

func changeOf(e identity.Event) (c Change, ok bool, err error) {
	var data struct {
		EntityType string `json:"entity_type"`
		EntityID   string `json:"entity_id"`
		Relation   string `json:"relation"`
		Change     string `json:"change"`
	}
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return Change{}, false, mailbox.Poison(fmt.Errorf("decode access.changed: %w", err))
		}
	}
	if data.EntityType == "" || data.Relation == "" {
		// A change of something else, such as membership in a group.
		return Change{}, false, nil
	}
	c = Change{UserID: e.UserID, Version: e.Version, Grant: Grant{EntityType: data.EntityType, EntityID: data.EntityID, Relation: data.Relation}}
	switch data.Change {
	case "granted":
	case "condition_updated":
		c.Grant.Conditional = true
	case "revoked":
		c.Revoked = true
	default:
		return Change{}, false, nil // of a later version of the contract
	}
	return c, true, nil
}
