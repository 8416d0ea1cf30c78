package erasures

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/services/identity-relay/internal/schema"
)

// The relay's own part of an erasure must not take longer the more erasures,
// events and audits there are.
func TestOwnSteps_NeverReadAWholeTable(t *testing.T) {
	t.Parallel()
	db := identitytest.Postgres(t, schema.Sets()...)
	for _, step := range ownSteps {
		for _, statement := range []string{step.change, `SELECT count(*) FROM ` + step.table + ` WHERE user_id = $1 AND $2::text IS NOT NULL`} {
			err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off`); err != nil { // then one is planned only where nothing else can be
					return err
				}
				rows, err := tx.Query(t.Context(), `EXPLAIN `+statement, "somebody", "erased:x")
				if err != nil {
					return err
				}
				plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
				require.NotContains(t, strings.Join(plan, "\n"), "Seq Scan", statement)
				return err
			})
			require.NoError(t, err)
		}
	}
}
