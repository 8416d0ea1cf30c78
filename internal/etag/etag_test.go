package etag_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/etag"
)

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values  []string
		version int64
		err     error
	}{
		{nil, etag.Any, nil},
		{[]string{"*"}, etag.Any, nil},
		{[]string{`"3"`}, 3, nil},
		{[]string{"3"}, 0, etag.ErrInvalid},
		{[]string{`W/"3"`}, 0, etag.ErrInvalid},
		{[]string{`"0"`}, 0, etag.ErrInvalid},
		{[]string{`"-1"`}, 0, etag.ErrInvalid},
		{[]string{`"03"`}, 0, etag.ErrInvalid},
		{[]string{`"1", "2"`}, 0, etag.ErrInvalid},
		{[]string{`"1"`, `"2"`}, 0, etag.ErrInvalid},
		{[]string{""}, 0, etag.ErrInvalid},
	} {
		version, err := etag.IfMatch(&http.Request{Header: http.Header{"If-Match": tc.values}})
		require.ErrorIs(t, err, tc.err, "%q", tc.values)
		require.Equal(t, tc.version, version, "%q", tc.values)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, etag.Check(etag.Any, 7))
	require.NoError(t, etag.Check(7, 7))
	require.ErrorIs(t, etag.Check(6, 7), etag.ErrFailed)
}
