package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/workload"
)

var _ workload.Finder = (*Clients)(nil)

// ClientByWorkload implements workload.Finder.
func (s *Clients) ClientByWorkload(ctx context.Context, issuer, subject string) (*clients.Client, error) {
	c := &clients.Client{}
	err := s.pool.QueryRow(ctx, `SELECT `+clientColumns+` FROM client_workloads w JOIN clients c ON c.id = w.client_id
		WHERE w.issuer = $1 AND w.workload = $2`, issuer, subject).Scan(clientTargets(c)...)
	if err != nil {
		return nil, notFound(err, "select a workload")
	}
	return c, c.Decode()
}

// registered names what a registration may break: clients.ErrWorkloadTaken.
func registered(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "client_workloads_one_client" {
		return clients.ErrWorkloadTaken
	}
	return err
}
