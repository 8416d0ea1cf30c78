package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// EndTokens ends every token that a client got until now; clients.ErrNotFound
// without a client.
func (s *Clients) EndTokens(ctx context.Context, actor, clientID string) error {
	return s.change(ctx, change{actor: actor, action: "client.end_tokens", client: clientID}, func(tx pgx.Tx) error {
		if _, err := client(ctx, tx, clientID, "FOR SHARE"); err != nil {
			return err
		}
		return endClient(ctx, tx, clientID)
	})
}
