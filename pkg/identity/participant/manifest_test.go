package participant_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestParseManifest_Refuses(t *testing.T) {
	t.Parallel()
	entry := func(column string) string {
		return "version: 1\ntables:\n  - table: t\n    columns:\n      - " + column + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", "EOF"},
		"unknown key":           {entry("{column: a, disposition: erase, reason: x}"), "reason"},
		"two documents":         {manifestText + "\n---\nversion: 1\n", "more than one"},
		"other version":         {strings.Replace(manifestText, "version: 1", "version: 2", 1), "version must be 1"},
		"no tables":             {"version: 1\n", "no tables"},
		"no columns":            {"version: 1\ntables:\n  - table: t\n", "no columns"},
		"table is SQL":          {"version: 1\ntables:\n  - {table: t; DROP, columns: [{column: a, disposition: erase}]}\n", "not a name"},
		"column is SQL":         {entry(`{column: 'a"b', disposition: erase}`), "not a column name"},
		"no disposition":        {entry("{column: a}"), "disposition must be"},
		"unknown disposition":   {entry("{column: a, disposition: delete}"), "disposition must be"},
		"retain without reason": {entry("{column: a, disposition: retain, retention: P1Y}"), "needs legal_reason"},
		"retain without time":   {entry("{column: a, disposition: retain, legal_reason: law}"), "needs retention"},
		"erase with reason":     {entry("{column: a, disposition: erase, legal_reason: law}"), "belong to retain"},
		"bad period":            {entry("{column: a, disposition: retain, legal_reason: law, retention: 10 years}"), "not a period"},
		"zero period":           {entry("{column: a, disposition: retain, legal_reason: law, retention: P0D}"), "not a period"},
		"key is the column":     {entry("{column: a, key: a, disposition: erase}"), "key must name another"},
		"pseudonymise with key": {entry("{column: a, key: b, disposition: pseudonymise}"), "takes no key"},
		"path with a brace":     {entry("{column: a, path: ['x}'], disposition: erase}"), "path steps"},
		"since is SQL":          {entry("{column: a, disposition: retain, legal_reason: law, retention: P1Y, since: now()}"), "since must name"},
		"declared twice":        {entry("{column: a, disposition: erase}\n      - {column: a, disposition: erase}"), "declared twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := participant.ParseManifest([]byte(c.text))
			require.ErrorIs(t, err, participant.ErrManifest)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestValidate_ListsEveryEntryThatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	validate := func(text string) error {
		m, err := participant.ParseManifest([]byte("version: 1\ntables:\n" + text))
		require.NoError(t, err)
		return m.Validate(context.Background(), w.db.Pool)
	}
	err := validate(`
  - table: nowhere
    columns: [{column: user_id, disposition: erase}]
  - table: public.orders
    columns:
      - {column: gone, disposition: erase}
      - {column: id, disposition: erase}
      - {column: details, disposition: erase}
      - {column: note, path: [a], disposition: erase}
      - {column: placed_at, key: user_id, disposition: erase}
      - {column: user_id, disposition: retain, legal_reason: law, retention: P1Y, since: note}
  - table: short
    columns: [{column: user_id, disposition: pseudonymise}, {column: number, key: user_id, disposition: erase}]
  - table: other.orders
    columns: [{column: user_id, disposition: erase}]
`)
	require.ErrorIs(t, err, participant.ErrManifest)
	for _, part := range []string{
		"nowhere.user_id: no column", "orders.gone: no column", "orders.id: type integer cannot hold",
		"orders.details: a json or jsonb column", "orders.note: a json or jsonb column", "orders.placed_at: erase with a key",
		"orders.user_id: since", "short.user_id: the column is too short", "other.orders.user_id: no column",
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "short.number")
	m, err := participant.ParseManifest([]byte(manifestText))
	require.NoError(t, err)
	require.NoError(t, m.Validate(context.Background(), w.db.Pool))
}

func TestPeriod(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]participant.Period{
		"P10Y": {Years: 10}, "P1Y6M": {Years: 1, Months: 6}, "P30D": {Days: 30}, "P2W1D": {Days: 15},
	} {
		p, err := participant.ParsePeriod(text)
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
	p, err := participant.ParsePeriod("P1Y2M3D")
	require.NoError(t, err)
	require.Equal(t, "P1Y2M3D", p.String())
	require.Equal(t, time.Date(2025, 3, 4, 0, 0, 0, 0, time.UTC), p.After(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)))
	for _, text := range []string{"", "P", "10Y", "P-1Y", "P1H", "PT1H", "P1.5Y", "P99999Y"} {
		_, err := participant.ParsePeriod(text)
		require.Error(t, err, text)
	}
}
