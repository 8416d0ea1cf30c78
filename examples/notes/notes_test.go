package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/pkg/identity"
	"github.com/shadowless/shadowless/pkg/identity/identitytest"
	"github.com/shadowless/shadowless/pkg/identity/participant"
)

func TestMain(m *testing.M) { identitytest.Main(m) }

const (
	within = 20 * time.Second
	every  = 10 * time.Millisecond
)

// The whole service: a user writes, is erased, and cannot come back.
func TestNotes_AnswerAnErasureWithAReceipt(t *testing.T) {
	t.Parallel()
	db, broker, idp := identitytest.Postgres(t, sets...), identitytest.NATS(t), authntest.NewIssuer(t)
	stream := broker.Stream(jetstream.StreamConfig{Name: participant.DefaultStream, Subjects: []string{identity.SubjectPrefix + ">"}})
	receipts := broker.Stream(jetstream.StreamConfig{Name: "RECEIPTS", Subjects: []string{participant.ReceiptSubjectPrefix + ">"}})
	_, err := stream.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "notes-erasures", FilterSubject: identity.Filter("erasure"), AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(t, err)
	keyFile := filepath.Join(t.TempDir(), "tombstone-keys")
	require.NoError(t, os.WriteFile(keyFile, []byte(participant.NewTombstoneKey("k1")), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	verifier := idp.Verifier(t, "notes")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, verifier, db.Pool, broker.JetStream, keyFile) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})

	write := func(token, note string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listener.Addr().String()+"/notes", strings.NewReader(note))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	alice := idp.UserToken("auth0|alice", authntest.Audience("notes"))
	require.Equal(t, http.StatusCreated, write(alice, "buy tea"))
	require.Equal(t, http.StatusCreated, write(alice, "drink tea"))
	require.Equal(t, http.StatusCreated, write(idp.UserToken("bob", authntest.Audience("notes")), "nothing"))
	require.Equal(t, http.StatusUnauthorized, write(idp.UserToken("bob", authntest.Audience("orders")), "not for notes"))
	require.Equal(t, http.StatusForbidden, write(idp.ServiceToken("billing", authntest.Audience("notes")), "no user"))
	require.Equal(t, http.StatusRequestEntityTooLarge, write(alice, strings.Repeat("x", maxNoteBytes+1)))

	e := identity.Event{
		ID: uuid.NewString(), Source: "/relay", Type: identity.TypeErasureRequested, Version: 7, Time: time.Now(),
		UserID: "auth0|alice", ErasureID: uuid.NewString(),
	}
	raw, err := identity.Encode(e)
	require.NoError(t, err)
	_, err = broker.JetStream.Publish(t.Context(), identity.Subject(e), raw, jetstream.WithMsgID(e.ID))
	require.NoError(t, err)

	var receipt participant.Receipt
	require.Eventually(t, func() bool {
		m, err := receipts.GetLastMsgForSubject(t.Context(), participant.ReceiptSubjectPrefix+"notes")
		return err == nil && json.Unmarshal(m.Data, &receipt) == nil
	}, within, every)
	require.Equal(t, e.ErasureID, receipt.ErasureID)
	require.Len(t, receipt.Columns, 1)
	require.EqualValues(t, 2, receipt.Columns[0].Rows)
	require.Zero(t, receipt.Columns[0].Remaining)

	require.Equal(t, http.StatusForbidden, write(alice, "I am back"), "with a token that is still valid")
	var left int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM notes").Scan(&left))
	require.Equal(t, 1, left, "bob's")
}

// Shutdown is orderly, and a fault in the configuration is said at once.
func TestServe_RefusesWithoutTombstoneKeys(t *testing.T) {
	t.Parallel()
	db, broker := identitytest.Postgres(t, sets...), identitytest.NATS(t)
	err := serve(t.Context(), nil, nil, db.Pool, broker.JetStream, filepath.Join(t.TempDir(), "absent"))
	require.ErrorContains(t, err, "tombstone keys")
}
