package streams

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestMade_AsksAgainOnlyWhileTheServerIsClearingAway(t *testing.T) {
	t.Parallel()
	answering := func(answers ...error) (calls int, err error) {
		err = made(t.Context(), func() error {
			calls++
			return answers[min(calls, len(answers))-1]
		})
		return calls, err
	}
	clearing, other := &jetstream.APIError{ErrorCode: storeFailed}, errors.New("no")
	calls, err := answering(clearing, clearing, nil)
	require.NoError(t, err)
	require.Equal(t, 3, calls)
	calls, err = answering(other)
	require.ErrorIs(t, err, other)
	require.Equal(t, 1, calls)
	calls, err = answering(&jetstream.APIError{ErrorCode: 10058})
	require.Error(t, err)
	require.Equal(t, 1, calls)

	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, made(ended, func() error { return clearing }), error(clearing))
}
