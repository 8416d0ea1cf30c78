package authn

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"
)

const oneKey = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","alg":"EdDSA","use":"sig","x":"MaGgDOMdPm0rYbVd96ZD5kKtkzJH-3yGVcuq9IIobOo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}]}`

func TestKeyStorage_IsAReadOnlyJWKSetStorage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	s := newKeyStorage(func() time.Time { return now })
	s.await = func(context.Context, string) error { return nil }
	keys, skipped, err := parseJWKS([]byte(oneKey))
	require.NoError(t, err)
	require.Empty(t, skipped)
	s.set.Store((&keySet{}).merge(keys, now, now, time.Minute, time.Hour))

	ctx := t.Context()
	jwk, err := s.KeyRead(ctx, "k1")
	require.NoError(t, err)
	require.Equal(t, "k1", jwk.Marshal().KID)
	all, err := s.KeyReadAll(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)

	_, err = s.KeyDelete(ctx, "k1")
	require.ErrorIs(t, err, errReadOnly)
	require.ErrorIs(t, s.KeyWrite(ctx, jwk), errReadOnly)
	require.ErrorIs(t, s.KeyReplaceAll(ctx, nil), errReadOnly)

	for _, read := range []func(context.Context) (json.RawMessage, error){
		func(ctx context.Context) (json.RawMessage, error) { return s.JSON(ctx) },
		func(ctx context.Context) (json.RawMessage, error) { return s.JSONPublic(ctx) },
		func(ctx context.Context) (json.RawMessage, error) { return s.JSONPrivate(ctx) },
		func(ctx context.Context) (json.RawMessage, error) {
			return s.JSONWithOptions(ctx, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		},
	} {
		raw, err := read(ctx)
		require.NoError(t, err)
		require.Contains(t, string(raw), `"k1"`)
		require.NotContains(t, string(raw), "nWGxne", "a private key that was published is not even kept")
	}
	set, err := s.Marshal(ctx)
	require.NoError(t, err)
	require.Len(t, set.Keys, 1)
	set, err = s.MarshalWithOptions(ctx, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	require.NoError(t, err)
	require.Len(t, set.Keys, 1)

	_, err = s.KeyRead(ctx, "k2")
	require.ErrorIs(t, err, ErrUnknownKey)
	require.ErrorIs(t, err, jwkset.ErrKeyNotFound)
	s.await = func(context.Context, string) error { return errors.New("refused") }
	_, err = s.KeyRead(ctx, "k2")
	require.ErrorIs(t, err, ErrKeysUnavailable)

	now = now.Add(time.Hour)
	_, err = s.KeyRead(ctx, "k1")
	require.ErrorIs(t, err, ErrKeysUnavailable, "beyond the maximum age")
}

func TestKeySet_RemovedKeyComesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	keys, _, err := parseJWKS([]byte(oneKey))
	require.NoError(t, err)
	other := (&keySet{}).merge(keys, now, now, time.Minute, time.Hour)
	gone := other.merge(nil, now, now, time.Minute, time.Hour)
	require.NotEqual(t, other.generation, gone.generation)
	_, until, ok := gone.lookup("k1", now)
	require.True(t, ok)
	require.Equal(t, now.Add(time.Minute), until)

	// Further sets without it do not lengthen the bound.
	later := now.Add(50 * time.Second)
	_, until, ok = gone.merge(nil, later, later, time.Minute, time.Hour).lookup("k1", later)
	require.True(t, ok)
	require.Equal(t, now.Add(time.Minute), until)

	back := gone.merge(keys, later, later, time.Minute, time.Hour)
	_, until, ok = back.lookup("k1", later)
	require.True(t, ok)
	require.Equal(t, later.Add(time.Hour), until)
	require.Equal(t, back.generation, back.merge(keys, later, later, time.Minute, time.Hour).generation, "an unchanged set keeps what was vouched for")
}
