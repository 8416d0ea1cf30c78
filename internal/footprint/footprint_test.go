package footprint_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shadowless/shadowless/internal/footprint"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/migrate"
)

const id = "auth0|5f7c8ec7c33c6c004bbafe82"

func TestMain(m *testing.M) { identitytest.Main(m) }

func TestSpellings_FindBase64AtEveryOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOf(rapid.Byte()).Draw(t, "before")
		after := rapid.SliceOf(rapid.Byte()).Draw(t, "after")
		whole := append(append(append([]byte{}, before...), id...), after...)
		for _, text := range []string{
			base64.StdEncoding.EncodeToString(whole), base64.RawURLEncoding.EncodeToString(whole), hex.EncodeToString(whole),
		} {
			found := false
			for _, s := range footprint.Spellings(id) {
				found = found || strings.Contains(text, s)
			}
			require.True(t, found, text)
		}
	})
}

var kept = migrate.Set{Name: "kept", FS: fstest.MapFS{"00001_kept.sql": {Data: []byte(`-- +goose Up
CREATE TABLE plain (user_id text);
CREATE TABLE document (body jsonb);
CREATE TABLE bytes (raw bytea);
CREATE TABLE clean (note text);
`)}}}

func TestInDatabase_NamesEachColumnThatHoldsTheID(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := identitytest.Postgres(t, kept)
	for statement, value := range map[string]any{
		"INSERT INTO plain VALUES ($1)":    id,
		"INSERT INTO document VALUES ($1)": map[string]any{"path": "/users/" + base64.RawURLEncoding.EncodeToString([]byte("x"+id))},
		"INSERT INTO bytes VALUES ($1)":    []byte("before " + id + " after"),
		"INSERT INTO clean VALUES ($1)":    "somebody else",
	} {
		_, err := db.Pool.Exec(ctx, statement, value)
		require.NoError(t, err)
	}
	found, err := footprint.InDatabase(ctx, db.OwnerURL, id)
	require.NoError(t, err)
	places := []string{}
	for _, f := range found {
		places = append(places, f.Place)
	}
	require.ElementsMatch(t, []string{"plain.user_id", "document.body", "bytes.raw"}, places)
}

func TestInStreams_LooksAtSubjectsHeadersAndBodies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	broker := identitytest.NATS(t)
	broker.Stream(jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	bucket, err := broker.JetStream.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "B"})
	require.NoError(t, err)
	for _, m := range []*nats.Msg{
		{Subject: "s.body", Data: []byte(`{"u":"` + url.QueryEscape(id) + `"}`)},
		{Subject: "s.header", Header: nats.Header{"User": {id}}},
		{Subject: "s." + base64.RawURLEncoding.EncodeToString([]byte(id))},
		{Subject: "s.clean", Data: []byte("nobody")},
	} {
		_, err := broker.JetStream.PublishMsg(ctx, m)
		require.NoError(t, err)
	}
	_, err = bucket.Put(ctx, "entry", []byte(id))
	require.NoError(t, err)
	found, err := footprint.InStreams(ctx, broker.JetStream, id)
	require.NoError(t, err)
	require.Len(t, found, 4)
}
