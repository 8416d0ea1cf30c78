package idempotency_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/idempotency"
)

func TestFromRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values []string
		err    error
	}{
		"a key":            {[]string{"8e03978e-40d5-43e8-bc93-6894a57f9324"}, nil},
		"the longest":      {[]string{strings.Repeat("k", idempotency.MaxKeyBytes)}, nil},
		"none":             {nil, idempotency.ErrMissing},
		"empty":            {[]string{""}, idempotency.ErrMissing},
		"two":              {[]string{"a", "b"}, idempotency.ErrMissing},
		"too long":         {[]string{strings.Repeat("k", idempotency.MaxKeyBytes+1)}, idempotency.ErrMissing},
		"with a space":     {[]string{"a b"}, idempotency.ErrMissing},
		"beyond ASCII":     {[]string{"schlüssel"}, idempotency.ErrMissing},
		"with a line feed": {[]string{"a\nb"}, idempotency.ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := idempotency.FromRequest(&http.Request{Header: http.Header{idempotency.Header: tc.values}})
			require.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				require.Equal(t, tc.values[0], key)
			}
		})
	}
}

func TestHash_TellsRequestsApart(t *testing.T) {
	t.Parallel()
	hash := idempotency.Hash("a", 1)
	require.Equal(t, hash, idempotency.Hash("a", 1))
	require.NotEqual(t, hash, idempotency.Hash("a", 2))
	require.NotEqual(t, idempotency.Hash("a", "b"), idempotency.Hash("ab"))
	require.NotEqual(t, idempotency.Hash([]string{"a"}, "b"), idempotency.Hash([]string{"a", "b"}))
}
