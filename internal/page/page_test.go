package page_test

import (
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/page"
)

func itself(id uuid.UUID) uuid.UUID { return id }

func TestCut_CursorLeadsToTheNextPage(t *testing.T) {
	t.Parallel()
	rows := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	cut, next := page.Cut(page.Page{Limit: 2}, rows, itself)
	require.Equal(t, rows[:2], cut)
	p, err := page.Parse(url.Values{"cursor": {next}, "limit": {"7"}})
	require.NoError(t, err)
	require.Equal(t, rows[1], *p.Before)
	require.Equal(t, 7, p.Limit)
}

func TestCut_LastPageHasNoCursor(t *testing.T) {
	t.Parallel()
	_, next := page.Cut(page.Page{Limit: 2}, []uuid.UUID{uuid.New(), uuid.New()}, itself)
	require.Empty(t, next)
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"limit=0", "limit=-1", "limit=101", "limit=ten", "limit=", "cursor=", "cursor=%2F", "cursor=AAAA",
		"cursor=AgAAAAAAAAAAAAAAAAAAAAA", // another version
	} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, err = page.Parse(values)
		require.ErrorIs(t, err, page.ErrInvalid, query)
	}
}
