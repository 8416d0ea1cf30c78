package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/workload"
)

var _ workload.Finder = (*Clients)(nil)

// ClientByWorkload implements workload.Finder.
func (s *Clients) ClientByWorkload(ctx context.Context, issuer, subject string) (*clients.Client, error) {
	wanted, err := json.Marshal([]api.Workload{{Issuer: issuer, Subject: subject}})
	if err != nil {
		return nil, fmt.Errorf("encode a workload: %w", err)
	}
	rows, err := s.pool.Query(ctx, `SELECT id FROM clients WHERE spec -> 'workloads' @> $1::jsonb LIMIT 2`, string(wanted))
	if err != nil {
		return nil, fmt.Errorf("select a workload: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	switch {
	case err != nil:
		return nil, fmt.Errorf("select a workload: %w", err)
	case len(ids) == 0:
		return nil, clients.ErrNotFound
	case len(ids) > 1:
		return nil, workload.ErrAmbiguous
	}
	return s.Client(ctx, ids[0])
}
