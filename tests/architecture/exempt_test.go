package architecture_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	billing "github.com/shadowless/shadowless/compare/billing/store"
	orders "github.com/shadowless/shadowless/compare/orders/store"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
	"github.com/shadowless/shadowless/tests/architecture"
)

func TestUnheldMigrations(t *testing.T) {
	t.Parallel()
	require.Empty(t, architecture.UnheldMigrations(os.DirFS(root), architecture.Services))
	faults := architecture.UnheldMigrations(fstest.MapFS{
		"services/orders/internal/store/migrations/1.sql": file(1),
		"compare/users/migrations/users/1.sql":            file(1),
		"services/loyalty/migrations/1.sql":               file(1),
		"internal/profiles/1.sql":                         file(1),
		"comparedto/1.sql":                                file(1),
	}, architecture.Services)
	require.Len(t, faults, 3)
	for _, folder := range []string{"services/loyalty/migrations", "internal/profiles", "comparedto"} {
		requireFault(t, faults, folder+" makes tables")
	}
}

// The rules would find the other archetype's tables: it breaks them on purpose,
// and is exempt by name. What is not about users holds for it as well.
func TestComparison_BreaksTheRulesAboutUsers(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, architecture.Exempt["compare"])
	for name, sets := range map[string][]migrate.Set{
		"orders": orders.Migrations(), "billing": billing.Migrations(false),
		"one database": append(orders.Migrations(), billing.Migrations(true)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := architecture.ReadSchema(t.Context(), identitytest.Postgres(t, sets...).Owner, "compare")
			require.NoError(t, err)
			requireFault(t, architecture.UserReferences(s), "table users is named like a table of users")
			requireFault(t, architecture.UserReferences(s), "to users, a table of users")
			for _, column := range []string{"users.name", "users.email", "users.avatar_url"} {
				requireFault(t, architecture.ProfileColumns(s), column)
			}
			require.Empty(t, architecture.CrossReferences(s))
		})
	}
}
