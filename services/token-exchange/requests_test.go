package tokenexchange_test

import (
	"testing"

	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// How the tests ask.
var (
	basic       = tokenexchangetest.Basic
	pairs       = tokenexchangetest.Pairs
	credentials = tokenexchangetest.Credentials
	exchange    = tokenexchangetest.Exchange
)

func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	return tokenexchangetest.Part(t, token, i)
}
