package conformance_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// signingKeys: how they come and go, and how they are kept.
var signingKeys = map[string]check{
	"G7": keySetCaching,
	// The keys are made older in the database; the service does the rest.
	"G6": func(t *testing.T, _ *deployment) {
		d := prepare(t)
		d.a = d.start()
		old := d.signer(t, d.a)
		require.Equal(t, []string{old}, d.kids(t, d.a))
		ahead := d.Config.SigningPublishAhead

		d.age(t, d.Config.SigningRotateEvery-ahead+time.Minute)
		early := d.start()
		kids := d.kids(t, early)
		require.Len(t, kids, 2, "the successor is published")
		require.Equal(t, old, d.signer(t, early), "and does not sign yet")
		require.GreaterOrEqual(t, ahead, 2*d.maxAge(t, early))
		next := kids[0]
		if next == old {
			next = kids[1]
		}

		d.age(t, ahead)
		late := d.start()
		require.Equal(t, next, d.signer(t, late))
		require.ElementsMatch(t, kids, d.kids(t, late), "the old key is still published")

		d.age(t, d.Config.SigningRetainFor-2*time.Hour)
		require.Contains(t, d.kids(t, d.start()), old, "60 days later it still is")
		d.age(t, 2*time.Hour)
		require.NotContains(t, d.kids(t, d.start()), old)
		require.GreaterOrEqual(t, d.Config.SigningRetainFor, 15*time.Minute)
	},
	"G8": func(t *testing.T, d *deployment) {
		id, key := d.register(t, api.ClientSpec{})
		token := d.send(t, basic(id, key.Secret), credentials()).token(t)
		d.eventually(t, func() bool {
			var n int
			return d.Database.Owner.QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE key_id = $1 AND granted`, key.ID).Scan(&n) == nil && n > 0
		}, "the audit has it")
		dump := d.dump(t)
		require.Contains(t, dump, key.ID, "the dump is one")
		for client, k := range d.Keys {
			require.NotContains(t, dump, secretPart(k), client)
		}
		require.NotContains(t, dump, secretPart(key.Secret))
		require.NotContains(t, dump, token)
		require.NotContains(t, dump, strings.Split(token, ".")[2])
		require.NotContains(t, dump, "PRIVATE KEY")
		d.nothingOpens(t)
	},
}

// signer is the key that a replica signs with.
func (d *deployment) signer(t *testing.T, r *replica) string {
	t.Helper()
	kid, _ := part(t, d.post(t, r.url+"/oauth/token", d.As("orders"), credentials()).token(t), 0)["kid"].(string)
	return kid
}

// age makes every signing key older.
func (d *deployment) age(t *testing.T, by time.Duration) {
	t.Helper()
	_, err := d.Database.Owner.Exec(t.Context(), `UPDATE signing_keys SET created_at = created_at - $1::interval, activates_at = activates_at - $1::interval`, by)
	require.NoError(t, err)
}

var maxAge = regexp.MustCompile(`\bmax-age=(\d+)\b`)

// maxAge is how long others may keep the key set.
func (d *deployment) maxAge(t *testing.T, r *replica) time.Duration {
	t.Helper()
	a := d.do(t, request(t, http.MethodGet, r.url+"/.well-known/jwks.json", ""))
	found := maxAge.FindStringSubmatch(a.header.Get("Cache-Control"))
	require.Len(t, found, 2)
	seconds, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return time.Duration(seconds) * time.Second
}

// dump is every row of every table, as pg_dump would write it.
func (d *deployment) dump(t *testing.T) string {
	t.Helper()
	rows, err := d.Database.Owner.Query(t.Context(), `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	var out strings.Builder
	for _, table := range tables {
		rows, err := d.Database.Owner.Query(t.Context(), `SELECT t::text FROM `+table+` t`)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		out.WriteString(table + "\n" + strings.Join(lines, "\n") + "\n")
	}
	return out.String()
}

// nothingOpens: a stored key is no private key, and has none in it.
func (d *deployment) nothingOpens(t *testing.T) {
	t.Helper()
	rows, err := d.Database.Owner.Query(t.Context(), `SELECT sealed, public_jwk->>'x', public_jwk->>'y' FROM signing_keys`)
	require.NoError(t, err)
	var sealed []byte
	var x, y string
	seen := 0
	_, err = pgx.ForEachRow(rows, []any{&sealed, &x, &y}, func() error {
		seen++
		_, err := x509.ParsePKCS8PrivateKey(sealed)
		require.Error(t, err)
		public := []byte{4}
		for _, half := range []string{x, y} {
			raw, err := base64.RawURLEncoding.DecodeString(half)
			require.NoError(t, err)
			public = append(public, raw...)
		}
		for i := range len(sealed) - 31 {
			if k, err := ecdh.P256().NewPrivateKey(sealed[i : i+32]); err == nil {
				require.False(t, bytes.Equal(public, k.PublicKey().Bytes()), "the private key lies open at %d of %s", i, hex.EncodeToString(public))
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.NotZero(t, seen)
}
