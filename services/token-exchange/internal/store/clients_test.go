package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/internal/blocks"
	"github.com/shadowless/shadowless/services/token-exchange/internal/clients"
	"github.com/shadowless/shadowless/services/token-exchange/internal/keyring"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestApply_AgainAndAgain(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), database(t)
	s, old := store.NewClients(db.Pool), secrets(t, "a")
	key, err := api.GenerateKey("test")
	require.NoError(t, err)
	keyFile := write(t, "orders.key", key.Reveal()+"\n")
	load := func(text string) clients.File {
		f, err := clients.LoadFile(write(t, "clients.yaml", text))
		require.NoError(t, err)
		return f
	}
	first := load("clients:\n- {id: orders, name: Orders, key_files: [" + keyFile + "]}\n- {id: billing}\n")
	require.NoError(t, clients.Apply(ctx, s, old, first))
	before, err := s.Client(ctx, "orders")
	require.NoError(t, err)
	require.NoError(t, clients.Apply(ctx, s, old, first))
	after, err := s.Client(ctx, "orders")
	require.NoError(t, err)
	require.Equal(t, before, after, "nothing changed, nothing is written")

	_, err = s.Update(ctx, "operator", "orders", func(c *clients.Client) error {
		c.Blocked, c.BlockReason = true, "leaked"
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, s.RevokeKey(ctx, "operator", "orders", key.ID()))
	require.NoError(t, clients.Apply(ctx, s, old, load("clients:\n- {id: orders, name: New, key_files: ["+keyFile+"]}\n")))
	k, c, err := s.KeyByID(ctx, key.ID())
	require.NoError(t, err)
	require.True(t, c.Blocked)
	require.NoError(t, c.Decode())
	require.Equal(t, "New", c.Name)
	require.NotNil(t, k.RevokedAt)

	require.ErrorIs(t, clients.Apply(ctx, s, old, load("clients:\n- {id: billing, key_files: ["+keyFile+"]}\n")), clients.ErrKeyTaken)
	require.ErrorIs(t, clients.Apply(ctx, s, old, load("clients:\n- {id: billing, key_files: [/nowhere]}\n")), api.ErrKeyFile)
	require.ErrorIs(t, clients.Apply(ctx, s, old, load("clients:\n- {id: billing, key_files: ["+write(t, "bad", "short")+"]}\n")), api.ErrKeyFile)

	// A new hash key: the file's keys are hashed anew at the next start.
	rotated := secrets(t, "b")
	require.NoError(t, clients.Apply(ctx, s, rotated, load("clients:\n- {id: orders, key_files: ["+keyFile+"]}\n")))
	k, _, err = s.KeyByID(ctx, key.ID())
	require.NoError(t, err)
	require.Equal(t, "b", k.Hashed.KeyID)
	require.Equal(t, rotated.Hash(keyring.PurposeAPIKey, key.Reveal()), k.Hashed)
}

func TestLoadFile_NamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := clients.LoadFile(write(t, "c", "clients:\n- {id: A}\n- {id: b, front_door: true}\n- {id: b}\n"))
	for _, part := range []string{"clients[0]", "clients[1]", "declared twice"} {
		require.ErrorContains(t, err, part)
	}
	_, err = clients.LoadFile(write(t, "c", "clients:\n- {id: a, audience: x}\n"))
	require.ErrorContains(t, err, "audience")
	_, err = clients.LoadFile(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}

func TestBlocks_TheLaterVersionStays(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), database(t)
	s, hash := store.NewBlocks(db.Pool), make([]byte, 32)
	put := func(version uint64, lifted bool) {
		t.Helper()
		require.NoError(t, pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
			return s.Put(ctx, tx, blocks.Block{UserHash: hash, HashKeyID: "a", Kind: blocks.Banned, Version: version, Lifted: lifted})
		}))
	}
	is := func(want bool) {
		t.Helper()
		got, err := s.Any(ctx, [][]byte{make([]byte, 31), hash})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	is(false)
	put(1<<63+1, false)
	is(true)
	put(1<<63, true)
	is(true)
	put(1<<63+2, true)
	is(false)
	put(1<<63+1, false)
	is(false)
}

// TestApply_AWorkloadIsOneClient also where the file moves it from one to another.
func TestApply_AWorkloadIsOneClient(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), database(t)
	s, hashes := store.NewClients(db.Pool), secrets(t, "a")
	load := func(text string) (clients.File, error) { return clients.LoadFile(write(t, "clients.yaml", text)) }
	apply := func(text string) error {
		f, err := load(text)
		require.NoError(t, err)
		return clients.Apply(ctx, s, hashes, f)
	}
	const a, b = `{issuer: "https://k8s.example", subject: a}`, `{issuer: "https://k8s.example", subject: b}`
	is := func(subject, client string) {
		t.Helper()
		c, err := s.ClientByWorkload(ctx, "https://k8s.example", subject)
		require.NoError(t, err)
		require.Equal(t, client, c.ID)
	}
	_, err := load("clients:\n- {id: one, workloads: [" + a + "]}\n- {id: two, workloads: [" + b + ", " + a + "]}\n")
	require.ErrorIs(t, err, clients.ErrWorkloadTaken)
	require.ErrorContains(t, err, "one's and two's")

	require.NoError(t, apply("clients:\n- {id: one, workloads: ["+a+"]}\n- {id: two, workloads: ["+b+"]}\n"))
	is("a", "one")
	is("b", "two")
	require.NoError(t, apply("clients:\n- {id: one, workloads: ["+b+"]}\n- {id: two}\n"), "one takes what two, which stands behind it, gives up")
	is("b", "one")
	_, err = s.ClientByWorkload(ctx, "https://k8s.example", "a")
	require.ErrorIs(t, err, clients.ErrNotFound)

	require.ErrorIs(t, apply("clients:\n- {id: three, workloads: ["+b+"]}\n"), clients.ErrWorkloadTaken, "one keeps it, though the file does not name it")
	is("b", "one")
	_, err = s.Put(ctx, "operator", api.ClientSpec{ID: "four", Workloads: []api.Workload{{Issuer: "https://k8s.example", Subject: "b"}}})
	require.ErrorIs(t, err, clients.ErrWorkloadTaken)
	_, err = s.Client(ctx, "four")
	require.ErrorIs(t, err, clients.ErrNotFound, "nothing of it is kept")
	_, err = s.ClientByWorkload(ctx, "https://k8s.example", "B")
	require.ErrorIs(t, err, clients.ErrNotFound, "compared byte for byte")
}
