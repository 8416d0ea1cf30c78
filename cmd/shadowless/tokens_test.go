package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
	"github.com/shadowless/shadowless/tests/docs"
)

// readme is a block of token-exchange's README by a text in it.
func readme(t *testing.T, language, has string) string {
	t.Helper()
	documents, err := docs.Read("../..")
	require.NoError(t, err)
	for _, d := range documents {
		for _, b := range d.Blocks {
			if d.Path == "services/token-exchange/README.md" && b.Language == language && strings.Contains(b.Text, has) {
				return b.Text
			}
		}
	}
	require.Fail(t, "the README has no such block", has)
	return ""
}

// TestTokens_AreFetchedAsTheReadmeSays runs the README's requests against a
// service that has the README's policy and the README's clients.
func TestTokens_AreFetchedAsTheReadmeSays(t *testing.T) {
	t.Parallel()
	var file struct {
		Clients []struct {
			api.ClientSpec `yaml:",inline"`
			KeyFiles       []string `yaml:"key_files"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(readme(t, "yaml", "# TOKEN_EXCHANGE_CLIENTS_FILE")), &file))
	require.Len(t, file.Clients, 3)
	clients := []api.ClientSpec{{ID: "billing"}}
	for _, c := range file.Clients {
		clients = append(clients, c.ClientSpec)
	}
	s := &system{t: t, dir: t.TempDir()}
	s.Deployment = tokenexchangetest.New(t, tokenexchangetest.Options{
		Policy: readme(t, "yaml", "# TOKEN_EXCHANGE_POLICY_FILE"), Clients: clients, Types: []string{"at+jwt", "JWT"}, Log: slog.DiscardHandler,
	})
	s.Start(true)
	env := []string{
		"STS=" + s.Issuer, "USER_TOKEN=" + s.User("u1"),
		"ID_TOKEN=" + s.User("u1", authntest.Header("typ", "JWT"), authntest.Audience("console"), authntest.Claim("jti", nil)),
	}
	for _, client := range []string{"orders", "billing", "console"} {
		s.must(`printf %s "$KEY" > `+client+".key", "KEY="+s.Keys[client])
	}

	answers := strings.SplitAfter(strings.TrimSpace(s.must(quiet(readme(t, "sh", "$ID_TOKEN")), env...)), "}")
	tokens := make([]string, 0, 3)
	for _, answer := range answers {
		if _, rest, found := strings.Cut(answer, `"access_token":"`); found {
			token, _, _ := strings.Cut(rest, `"`)
			tokens = append(tokens, token)
		}
	}
	require.Len(t, tokens, 3, answers)
	own := s.Verify(t, tokens[0], "billing")
	require.Equal(t, authn.KindService, own.Kind())
	delegated := s.Verify(t, tokens[1], "billing")
	require.Equal(t, "u1", delegated.UserID())
	require.Equal(t, "orders", delegated.Actor().ClientID())
	front := s.Verify(t, tokens[2], "orders")
	require.Equal(t, "u1", front.UserID())
	require.NotEmpty(t, front.SessionID())

	out := s.must(quiet(readme(t, "sh", "/oauth/introspect")), append(env, "TOKEN="+tokens[1])...)
	require.Contains(t, out, `"active":true`)
	out = s.must(quiet(readme(t, "sh", "/oauth/introspect")), append(env, "TOKEN="+tokens[1])...)
	require.Contains(t, out, `"active":false`, "its client revoked it")
}

// quiet lets curl speak of nothing but the answer, and fail where it is a refusal.
func quiet(script string) string { return strings.ReplaceAll(script, "curl ", "curl -fsS ") }
