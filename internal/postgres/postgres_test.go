package postgres_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/postgres"
)

// Nobody has to listen: the pool does not wait for the server.
const url = "postgres://user:secret@127.0.0.1:1/database"

func TestOpenAtLeast_IsAFloorUnlessTheURLSays(t *testing.T) {
	t.Parallel()
	usual := max(4, int32(runtime.NumCPU())) //nolint:gosec // far below 2^31
	for _, c := range []struct {
		url         string
		floor, want int32
	}{
		{url, 0, usual},
		{url, usual + 5, usual + 5},
		{url, 1, usual},
		{url + "?pool_max_conns=3", usual + 5, 3},
		{"host=127.0.0.1 port=1 user=user dbname=database pool_max_conns=3", usual + 5, 3},
	} {
		pool, err := postgres.OpenAtLeast(t.Context(), c.url, c.floor)
		require.NoError(t, err)
		pool.Close()
		require.Equal(t, c.want, pool.Config().MaxConns, fmt.Sprint(c))
	}
	_, err := postgres.OpenAtLeast(t.Context(), "postgres://user:secret@127.0.0.1:1/database?pool_max_conns=many", 5)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
