package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/streams"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// section of a document, from its heading to the next of the same level.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(document, "\n"+heading+"\n")
	require.True(t, found, heading)
	level, _, _ := strings.Cut(heading, " ")
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	return text
}

// TestOperate runs the README of token-exchange from the first key to a restored
// backup.
func TestOperate(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../services/token-exchange/README.md")
	require.NoError(t, err)
	operate := section(t, string(raw), "## Operate")
	steps := func(heading string) []string { return blocks(t, section(t, operate, "### "+heading)) }

	// What was answered is in the audit already.
	s := prepare(t, func(c *tokenexchange.Config) {
		c.Audit = tokenexchange.AuditStrict
		tokenexchangetest.ShortLead(c)
	})
	s.must(steps("Deploy")[0],
		"ENVIRONMENT=development", "INSECURE_PLAIN_HTTP=true", "AUTHN_CONFIG_FILE="+s.Config.AuthnConfigFile, "NATS_URL="+s.Config.NATSURL,
		"DATABASE_URL_FILE="+s.Config.DatabaseURLFile, "TOMBSTONE_KEY_FILE="+s.Config.TombstoneKeyFile, "TOKEN_EXCHANGE_ISSUER="+s.Issuer,
		"TOKEN_EXCHANGE_POLICY_FILE="+s.Config.PolicyFile, "TOKEN_EXCHANGE_CLIENTS_FILE=clients.yaml",
		"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE=key-hash.keys", "TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE=key-encryption.keys")
	s.Config.KeyHashKeyFile, s.Config.KeyEncryptionKeyFile = s.made("key-hash.keys"), s.made("key-encryption.keys")
	s.Config.ClientsFile = s.made("clients.yaml")
	key, err := api.ReadKeyFile(s.made("operator.key"))
	require.NoError(t, err)
	s.Keys = map[string]string{streams.Operator: key.Reveal()}
	service := s.Start(true)
	s.admin = s.Operator(streams.Operator)

	out := s.must(steps("First client")[0])
	require.Contains(t, out, `"access_token"`)
	require.Contains(t, out, "client_credentials", "the audit has it")
	out = s.must(steps("Rotate a key")[0])
	require.Contains(t, out, "Its successor is")
	for _, name := range []string{"reports.key", "next.key"} {
		require.Equal(t, http.StatusOK, s.works("reports", name), "both are good for a day")
	}
	before := s.kids()
	require.Contains(t, s.must(steps("Rotate the signing keys")[0]), api.SigningKeyAnnounced)
	require.Len(t, s.kids(), len(before)+1)

	restore := steps("Restore from a backup")
	require.Len(t, restore, 3)
	s.must(restore[0])
	s.must("shadowless keys give-up next.key")
	require.Equal(t, http.StatusUnauthorized, s.works("reports", "next.key"))
	service.Stop()
	s.must(restore[1])
	s.Start(true)
	require.Equal(t, http.StatusOK, s.works("reports", "next.key"), "as the README says: what came after the backup is undone")
	old := s.kids()
	require.Contains(t, s.must(restore[2]), "signing.rotate")
	require.NotSubset(t, old, s.kids())

	out = s.must(steps("Move from Auther's exchange")[0])
	require.Contains(t, out, "+ billing-job\n")
	require.Contains(t, out, "Nothing changes.")
	require.Contains(t, out, `"tokenType":"Bearer"`)
}

// made is a file that a script wrote.
func (s *system) made(name string) string { return filepath.Join(s.dir, name) }

// works is the status with which a key in a file is answered.
func (s *system) works(client, name string) int {
	s.t.Helper()
	key, err := api.ReadKeyFile(s.made(name))
	require.NoError(s.t, err)
	status, _ := s.ask(client, key.Reveal(), "/oauth/token", tokenexchangetest.Credentials())
	return status
}
