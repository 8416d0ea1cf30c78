package gobuild_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/gobuild"
)

func TestFlags_AreThoseOfTheTests(t *testing.T) {
	t.Parallel()
	var want []string
	if race {
		want = []string{"-race"}
	}
	require.Equal(t, want, gobuild.Flags())
}
