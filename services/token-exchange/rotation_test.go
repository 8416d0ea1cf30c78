package tokenexchange_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// keyIn is the key of a state.
func keyIn(t *testing.T, keys []api.SigningKey, state string) api.SigningKey {
	t.Helper()
	for _, k := range keys {
		if k.State == state {
			return k
		}
	}
	t.Fatalf("no key is %s", state)
	return api.SigningKey{}
}

// TestSigning_EmergencyOnTwoReplicas also is statement G7.
func TestSigning_EmergencyOnTwoReplicas(t *testing.T) {
	t.Parallel()
	w := start(t, with(tokenexchangetest.ShortLead))
	a := w.service.URL
	b := w.run().URL
	admin := w.admin(t)
	keys, err := admin.RotateSigningKeys(t.Context(), api.Rotation{})
	require.NoError(t, err)
	require.Len(t, keys, 2)
	first := keyIn(t, keys, api.SigningKeySigning).KeyID
	require.True(t, keyIn(t, keys, api.SigningKeyAnnounced).SignsFrom.After(time.Now().Add(time.Hour)), "published long before it signs")
	old := w.send(w.As("operator"), credentials()).token(t)
	etag := w.get(t, "/.well-known/jwks.json").header.Get("ETag")

	keys, err = admin.RotateSigningKeys(t.Context(), api.Rotation{Emergency: true})
	require.NoError(t, err)
	next := keyIn(t, keys, api.SigningKeyAnnounced).KeyID
	require.Contains(t, w.kids(t), next, "published before it signs, in an emergency too")
	signers := map[any]bool{}
	require.Eventually(t, func() bool {
		for _, url := range []string{a, b} {
			answer := w.postAt(t, url+"/oauth/token", w.As("operator"), credentials())
			if answer.status != 200 {
				continue
			}
			kid := part(t, answer.token(t), 0)["kid"]
			if kid == first {
				require.False(t, signers[next], "a replica signed with the old key after another had begun with the new one")
			}
			signers[kid] = true
		}
		return signers[next]
	}, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, map[any]bool{first: true, next: true}, signers)
	for _, url := range []string{a, b} {
		answer := w.postAt(t, url+"/oauth/token", w.As("operator"), credentials())
		require.Equal(t, next, part(t, answer.token(t), 0)["kid"])
	}
	require.Equal(t, []string{next}, w.kids(t))
	require.NotEqual(t, etag, w.get(t, "/.well-known/jwks.json").header.Get("ETag"))

	// What the old key signed opens nothing here any more, though it has not expired.
	require.Eventually(t, func() bool {
		_, err := w.adminAs(t, old).SigningKeys(t.Context())
		return err != nil
	}, 10*time.Second, 100*time.Millisecond)
	w.introspect(t, "operator", old).inactive(t)
	require.Eventually(t, func() bool {
		var sealed int
		return w.Database.Owner.QueryRow(t.Context(), "SELECT count(*) FROM signing_keys WHERE kid = $1", first).Scan(&sealed) == nil && sealed == 0
	}, meshtest.Within, meshtest.Every, "it is gone, sealed or not")
	require.Eventually(t, func() bool {
		var n int
		return w.Database.Owner.QueryRow(t.Context(), "SELECT count(*) FROM changes WHERE actor = 'operator' AND action = 'signing.replace'").Scan(&n) == nil && n == 1
	}, meshtest.Within, meshtest.Every)
}

func (w *world) secretKey(t *testing.T, file, id string) api.SecretKey {
	t.Helper()
	keys, err := w.admin(t).SecretKeys(t.Context())
	require.NoError(t, err)
	for _, k := range keys {
		if k.File == file && k.ID == id {
			return k
		}
	}
	return api.SecretKey{}
}

// TestSecretKeys_RotateWithoutARestart replaces both keys in two steps each,
// while clients go on.
func TestSecretKeys_RotateWithoutARestart(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, file := range []struct{ path, name, old, next string }{
		{w.Config.KeyHashKeyFile, "key_hash", "h1", "h2"},
		{w.Config.KeyEncryptionKeyFile, "key_encryption", "e1", "e2"},
	} {
		old, err := os.ReadFile(file.path)
		require.NoError(t, err)
		next := api.GenerateSecretKey(file.next)
		step := func(content string) { require.NoError(t, os.WriteFile(file.path, []byte(content), 0o600)) }
		require.True(t, w.secretKey(t, file.name, file.old).Current)
		step(string(old) + next) // every replica can read what the new key makes
		require.Eventually(t, func() bool { return w.secretKey(t, file.name, file.next).InFile }, meshtest.Within, meshtest.Every)
		require.True(t, w.secretKey(t, file.name, file.old).Current)
		step(next + string(old)) // it makes what is new
		require.Eventually(t, func() bool { return w.secretKey(t, file.name, file.next).Current }, meshtest.Within, meshtest.Every)
		require.Eventually(t, func() bool {
			for _, client := range registrations {
				require.NotEqual(t, 401, w.send(w.As(client.ID), credentials("audience", "orders")).status, client.ID)
			}
			k := w.secretKey(t, file.name, file.old)
			return k.APIKeys+k.SigningKeys == 0
		}, meshtest.Within, meshtest.Every, "what is used is carried over")
		step(next)
		require.Eventually(t, func() bool { return !w.secretKey(t, file.name, file.old).InFile }, meshtest.Within, meshtest.Every)
		w.send(w.As("orders"), credentials()).token(t)
	}
	w.service.Stop()
	w.service = w.run() // with the new keys alone
	w.send(w.As("orders"), credentials()).token(t)
}
