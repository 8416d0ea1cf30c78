package streams_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	"github.com/shadowless/shadowless/pkg/identity/directory"
)

// Who keeps names hears of their changes; nobody else reads identity events but
// through a consumer that was declared for them.
func TestPermissions_OnlyWhoKeepsNamesHearsEventsAsTheyArePublished(t *testing.T) {
	t.Parallel()
	for _, user := range streams.Users {
		heard := slices.DeleteFunc(streams.PermissionsOf(user).Subscribe, func(s string) bool { return !strings.HasPrefix(s, "identity.") })
		if user == "orders" {
			require.Equal(t, directory.Subjects, heard)
			continue
		}
		require.Empty(t, heard, user)
	}
}
