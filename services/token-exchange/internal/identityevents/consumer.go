// Package identityevents applies what the identity provider's users go through:
// deletions and bans become blocks, changes of access go into the projection.
package identityevents

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/mailbox"
	"github.com/shadowless/shadowless/services/token-exchange/internal/blocks"
	"github.com/shadowless/shadowless/services/token-exchange/internal/permissions"
)

// Handler applies one event in one transaction. Events come in any order, so
// both are guarded by version.
func Handler(list *blocks.List, grants permissions.Store) mailbox.HandlerFunc {
	return func(ctx context.Context, tx pgx.Tx, m mailbox.Message) error {
		e, err := identity.Decode(m.Payload)
		if err != nil {
			return mailbox.Poison(err)
		}
		if err := list.Apply(ctx, tx, e); err != nil {
			return err
		}
		return permissions.Apply(ctx, tx, grants, e)
	}
}
