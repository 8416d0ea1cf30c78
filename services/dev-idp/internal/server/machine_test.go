package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

const demoKey = "developmentShopDirectoryKeyThatOpensNothingButTheDemoOfThisRepo"

// accessToken signs a browser's user in at the console's client.
func (b *browser) accessToken() string {
	b.i.t.Helper()
	config, proof := b.i.console(), oauth2.GenerateVerifier()
	token, err := config.Exchange(context.Background(), b.authorize(config, proof), oauth2.VerifierOption(proof))
	require.NoError(b.i.t, err)
	return token.AccessToken
}

func (i *idp) check(header map[string]string, permission string, amount any) answer {
	body := `{"entityType":"client_shop:invoice","entityId":"i-1","permission":"` + permission + `"`
	if amount != nil {
		body += `,"resource":{"attributes":{"amount":` + amount.(string) + `}}`
	}
	return i.browser().do(http.MethodPost, "/api/auth/check-permission", "application/json", body+"}", header)
}

func TestCheckPermissionWithAUsersTokenAsPromised(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	alice, staff := i.alice(), i.signedIn("staff@example.com", "Passw0rd!staff")
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	token := bearer(alice.accessToken())
	userID, _ := alice.session()

	small := i.check(token, "refund", "5000")
	require.Equal(t, map[string]any{
		"allowed": true, "entityType": "client_shop:invoice", "entityId": "i-1", "permission": "refund", "subjectType": "user", "subjectId": userID,
	}, small.json(t))
	for _, denied := range []answer{i.check(token, "refund", "5001"), i.check(token, "refund", nil), i.check(token, "refund_any", nil), i.check(token, "fly", nil)} {
		require.Equal(t, http.StatusOK, denied.status)
		require.Equal(t, false, denied.json(t)["allowed"])
	}
	require.Equal(t, true, i.check(bearer(staff.accessToken()), "refund", "900000").json(t)["allowed"])
	sessionToken := alice.get("/api/auth/get-session").header.Get("Set-Auth-Jwt")
	require.Equal(t, true, i.check(bearer(sessionToken), "refund", "1").json(t)["allowed"])

	for _, bad := range []string{"nope", sessionToken + "x", strings.Repeat("a", 32)} {
		got := i.check(bearer(bad), "refund", "1")
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.Equal(t, "invalid_token", got.json(t)["error"])
	}
	require.Equal(t, http.StatusOK, alice.post("/api/auth/sign-out", fields{}).status)
	ended := i.check(token, "refund", "1")
	require.Equal(t, http.StatusUnauthorized, ended.status, "the token's session has ended")
}

func TestCheckPermissionWithAUsersTokenAsObserved(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Observed)
	alice := i.alice()
	sessionToken := alice.get("/api/auth/get-session").header.Get("Set-Auth-Jwt")
	for _, token := range []string{sessionToken, alice.accessToken()} {
		got := i.check(map[string]string{"Authorization": "Bearer " + token}, "read", nil)
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.Equal(t, `{"error":"unauthorized","message":"Missing authentication requirements"}`, got.body) //nolint:testifylint // byte by byte
	}
	beside := i.check(map[string]string{"Authorization": "Bearer " + sessionToken, "Cookie": cookieOf(alice)}, "read", nil)
	require.Equal(t, true, beside.json(t)["allowed"], beside.body)
	require.Equal(t, true, i.check(map[string]string{"X-Api-Key": demoKey}, "read", nil).json(t)["allowed"])
}

func TestExchangeAsPromised(t *testing.T) {
	t.Parallel()
	full := "fullAccessKeyForTestsfullAccessKeyForTestsfullAccessKeyForTests12"
	i := start(t, mode.Promised, func(o *server.Options) {
		o.Settings.APIKeys = append(o.Settings.APIKeys, settings.APIKey{
			ID: "full", Key: settings.Secret{Value: full}, OwnerEmail: "admin@example.com", Client: "shop", FullAccess: true,
		})
	})
	got := i.browser().post("/api/auth/api-key/exchange", fields{"apiKey": demoKey})
	require.Equal(t, http.StatusOK, got.status, got.body)
	answer := got.json(t)
	require.ElementsMatch(t, []string{"token", "tokenType", "expiresIn", "expiresAt"}, names(answer))
	require.EqualValues(t, 900, answer["expiresIn"])
	parts := strings.Split(answer["token"].(string), ".")
	require.Equal(t, "JWT", decoded(t, parts[0])["typ"])
	claims := decoded(t, parts[1])
	require.ElementsMatch(t, []string{"scope", "permissions", "abac_required", "apiKeyId", "iss", "aud", "sub", "iat", "exp"}, names(claims))
	require.Equal(t, "api_key_exchange", claims["scope"])
	require.Equal(t, "shop-directory", claims["apiKeyId"])
	owner, _ := i.admin().session()
	require.Equal(t, owner, claims["sub"])

	got = i.browser().post("/api/auth/api-key/exchange", fields{"apiKey": full})
	claims = decoded(t, strings.Split(got.json(t)["token"].(string), ".")[1])
	require.Equal(t, []any{"shop"}, claims["client_full_access"])
	require.Equal(t, true, i.check(map[string]string{"X-Api-Key": full}, "anything", nil).json(t)["allowed"])
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	aliceID, _ := i.alice().session()
	lookup := func(key, body string) answer {
		return i.browser().do(http.MethodPost, "/api/auth/directory/lookup", "application/json", body, map[string]string{"X-Api-Key": key})
	}
	got := lookup(demoKey, `{"ids":["`+aliceID+`","nobody"]}`)
	require.JSONEq(t, `{"users":[{"id":"`+aliceID+`","name":"Alice Anders","image":null}]}`, got.body)
	got = lookup(demoKey, `{"ids":["`+aliceID+`"],"fields":["email"]}`)
	require.JSONEq(t, `{"users":[{"id":"`+aliceID+`","name":"Alice Anders","image":null,"email":"alice@example.com"}]}`, got.body)
	require.Equal(t, http.StatusUnauthorized, lookup("", `{}`).status)
	require.Equal(t, http.StatusUnauthorized, lookup("wrong", `{}`).status)
	require.Equal(t, http.StatusBadRequest, lookup(demoKey, `{`).status)
	require.Equal(t, http.StatusBadRequest, lookup(demoKey, `{"ids":[`+strings.Repeat(`"x",`, 200)+`"x"]}`).status)
}

func TestGroupsGiveTheirGrants(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	admin, bob := i.admin(), i.signedIn("bob@example.com", "Passw0rd!bob")
	bobID, _ := bob.session()
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/grant", fields{
		"subjectType": "group", "subjectId": "g-1", "entityType": "client_shop:invoice", "relation": "staff",
	}).status)
	allowed := func() any {
		return i.check(map[string]string{"Authorization": "Bearer " + bob.accessToken()}, "refund", "900000").json(t)["allowed"]
	}
	require.Equal(t, false, allowed())
	member := fields{"groupId": "g-1", "userId": bobID}
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/add-group-member", member).status)
	require.Equal(t, true, allowed())
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/remove-group-member", member).status)
	require.Equal(t, false, allowed())
}
