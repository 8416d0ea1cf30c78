package store

import (
	"context"
	"fmt"
)

// Version implements clients.Versions.
func (s *Clients) Version(ctx context.Context) (version int64, err error) {
	if err := s.pool.QueryRow(ctx, `SELECT version FROM registry_version`).Scan(&version); err != nil {
		return 0, fmt.Errorf("select the registry's version: %w", err)
	}
	return version, nil
}
