package main

import (
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func TestCompare_QuickHasItsOwnSize(t *testing.T) {
	t.Parallel()
	parse := func(arguments ...string) (*compareCommand, error) {
		var all commands
		parser, err := kong.New(&all)
		require.NoError(t, err)
		_, err = parser.Parse(append([]string{"compare"}, arguments...))
		return &all.Compare, err
	}
	_, err := parse("--quick", "--users", "7")
	require.ErrorContains(t, err, "can't be used together")

	usual, err := parse()
	require.NoError(t, err)
	require.Equal(t, [2]int{100_000, 6}, [2]int{usual.options().Users, usual.options().Runs})
	quick, err := parse("--quick")
	require.NoError(t, err)
	require.True(t, quick.options().Quick)
	require.Equal(t, 3, quick.options().Runs)
	million, err := parse("--users", "1000000", "--runs", "1")
	require.NoError(t, err)
	require.Equal(t, [2]int{1_000_000, 1}, [2]int{million.options().Users, million.options().Runs})
}
