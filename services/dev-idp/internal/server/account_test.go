package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/services/dev-idp/internal/mode"
	"github.com/shadowless/shadowless/services/dev-idp/internal/server"
	"github.com/shadowless/shadowless/services/dev-idp/internal/settings"
)

func code(t *testing.T, a answer) string {
	t.Helper()
	text, _ := a.json(t)["code"].(string)
	return text
}

func TestSignUpRefusals(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised, func(o *server.Options) {
		o.Settings.RegistrationContexts = append(o.Settings.RegistrationContexts, settings.RegistrationContext{Slug: "staff", Client: "shop", EmailDomains: []string{"shop.example"}})
	})
	b := i.browser()
	account := func(change fields) fields {
		value := fields{"email": "new@example.com", "password": "Passw0rd!new", "name": "New"}
		maps.Copy(value, change)
		return value
	}
	without := b.post("/api/auth/sign-up/email", account(nil))
	require.Equal(t, http.StatusForbidden, without.status)
	require.Equal(t, "SIGN_UP_FORBIDDEN", code(t, without))
	for name, test := range map[string]struct {
		change fields
		status int
		code   string
	}{
		"no e-mail":          {fields{"email": "nope"}, 400, "INVALID_EMAIL"},
		"a named e-mail":     {fields{"email": "X <x@example.com>"}, 400, "INVALID_EMAIL"},
		"a short password":   {fields{"password": "1234567"}, 400, "PASSWORD_TOO_SHORT"},
		"a long password":    {fields{"password": strings.Repeat("x", 129)}, 400, "PASSWORD_TOO_LONG"},
		"a taken address":    {fields{"email": "ALICE@example.com"}, 422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"},
		"a taken username":   {fields{"username": "Alice"}, 422, "USERNAME_IS_ALREADY_TAKEN"},
		"an unknown context": {fields{"context": "nope"}, 400, "UNKNOWN_REGISTRATION_CONTEXT"},
		"a foreign domain":   {fields{"context": "staff"}, 403, "EMAIL_DOMAIN_NOT_ALLOWED"},
	} {
		got := b.signUp(account(test.change))
		require.Equal(t, test.status, got.status, "%s: %s", name, got.body)
		require.Equal(t, test.code, code(t, got), name)
	}
	require.Equal(t, http.StatusOK, b.signUp(account(fields{"context": "staff", "email": "new@shop.example"})).status)
}

func TestSignUpInAContextGrantsAndMaySignInAtOnce(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	got := i.browser().signUp(fields{"email": "dora@example.com", "password": "Passw0rd!dora", "name": "Dora", "context": "shop"})
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, true, got.json(t)["user"].(map[string]any)["emailVerified"])
	session := i.signedIn("dora@example.com", "Passw0rd!dora").get("/api/auth/get-session")
	claims := decoded(t, strings.Split(session.header.Get("Set-Auth-Jwt"), ".")[1])
	require.Contains(t, claims["permissions"], "client_shop:invoice")
	require.NotEmpty(t, claims["sid"])
	plain := i.browser().signUp(fields{"email": "erik@example.com", "password": "Passw0rd!erik", "name": "Erik"})
	require.Equal(t, http.StatusOK, plain.status)
	session = i.signedIn("erik@example.com", "Passw0rd!erik").get("/api/auth/get-session")
	require.Empty(t, decoded(t, strings.Split(session.header.Get("Set-Auth-Jwt"), ".")[1])["permissions"])
}

func TestOwnAccount(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	require.Equal(t, "null", i.browser().get("/api/auth/get-session").body)
	first, second := i.alice(), i.alice()
	require.Equal(t, http.StatusOK, first.post("/api/auth/update-user", fields{"name": "Alice A. Anders"}).status)
	require.Contains(t, second.get("/api/auth/get-session").body, "Alice A. Anders")
	require.Equal(t, http.StatusOK, first.post("/api/auth/revoke-sessions", fields{}).status)
	require.Equal(t, "null", second.get("/api/auth/get-session").body)

	third := i.alice()
	cookie := cookieOf(third)
	for name, header := range map[string]map[string]string{
		"MISSING_OR_NULL_ORIGIN": {"Cookie": cookie, "Origin": "null"},
		"INVALID_ORIGIN":         {"Cookie": cookie, "Origin": "https://evil.example"},
	} {
		got := i.browser().do(http.MethodPost, "/api/auth/delete-user", "application/json", "{}", header)
		require.Equal(t, http.StatusForbidden, got.status)
		require.Equal(t, name, code(t, got))
	}
	forged := i.browser().do(http.MethodPost, "/api/auth/delete-user", "application/json", "{}", map[string]string{"Cookie": cookie[:len(cookie)-8] + "AAAAA%3D"})
	require.Equal(t, http.StatusUnauthorized, forged.status)
	require.Equal(t, "INVALID_PASSWORD", code(t, third.post("/api/auth/delete-user", fields{"password": "wrong"})))
	require.Equal(t, http.StatusOK, third.post("/api/auth/delete-user", fields{"password": "Passw0rd!alice"}).status)
	gone := i.browser().post("/api/auth/sign-in/email", fields{"email": "alice@example.com", "password": "Passw0rd!alice"})
	require.Equal(t, "INVALID_EMAIL_OR_PASSWORD", code(t, gone))
}

func TestAdministrator(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	admin, alice := i.admin(), i.alice()
	aliceID, _ := alice.session()
	user := fields{"userId": aliceID}

	page := admin.get("/api/auth/admin/list-users?limit=3&offset=1&sortBy=email").json(t)
	require.EqualValues(t, 4, page["total"])
	require.EqualValues(t, 3, page["limit"])
	require.EqualValues(t, 1, page["offset"])
	require.Equal(t, "alice@example.com", page["users"].([]any)[0].(map[string]any)["email"])
	for _, bad := range []string{"limit=-1", "limit=x", "offset=1e3", "sortBy=password_hash"} {
		require.Equal(t, http.StatusBadRequest, admin.get("/api/auth/admin/list-users?"+bad).status, bad)
	}

	listed := admin.post("/api/auth/admin/list-user-sessions", user).json(t)["sessions"].([]any)
	require.Len(t, listed, 1)
	token := listed[0].(map[string]any)["token"]
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/revoke-user-session", fields{"sessionToken": token}).status)
	require.Equal(t, "null", alice.get("/api/auth/get-session").body)

	alice = i.alice()
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/revoke-user-sessions", user).status)
	require.Equal(t, "null", alice.get("/api/auth/get-session").body)

	alice = i.alice()
	banned := admin.post("/api/auth/admin/ban-user", fields{"userId": aliceID, "banReason": "spam", "banExpiresIn": 3600})
	require.Equal(t, "spam", banned.json(t)["user"].(map[string]any)["banReason"])
	require.Equal(t, "null", alice.get("/api/auth/get-session").body)
	credentials := fields{"email": "alice@example.com", "password": "Passw0rd!alice"}
	require.Equal(t, "BANNED_USER", code(t, i.browser().post("/api/auth/sign-in/email", credentials)))
	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/unban-user", user).status)
	i.alice()
	admin.post("/api/auth/admin/ban-user", fields{"userId": aliceID, "banExpiresIn": 3600})
	i.clock.advance(2 * time.Hour)
	i.alice() // the ban has run out

	require.Equal(t, http.StatusOK, admin.post("/api/auth/admin/remove-user", user).status)
	for _, path := range []string{"remove-user", "ban-user", "unban-user", "revoke-user-sessions", "verify-user"} {
		require.Equal(t, "USER_NOT_FOUND", code(t, admin.post("/api/auth/admin/"+path, user)), path)
	}
	require.Equal(t, "USER_NOT_FOUND", code(t, admin.get("/api/auth/admin/get-user?id="+aliceID)))
	var left int
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM grants WHERE subject_id = $1`, aliceID).Scan(&left))
	require.Zero(t, left)
}

func TestAdministratorsRoutesAreForAdministrators(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	admin, alice := i.admin(), i.alice()
	adminID, _ := admin.session()
	require.Equal(t, "YOU_CANNOT_BAN_YOURSELF", code(t, admin.post("/api/auth/admin/ban-user", fields{"userId": adminID})))
	require.Equal(t, "YOU_CANNOT_REMOVE_YOURSELF", code(t, admin.post("/api/auth/admin/remove-user", fields{"userId": adminID})))
	for _, path := range []string{
		"ban-user", "unban-user", "remove-user", "list-user-sessions", "revoke-user-session", "revoke-user-sessions", "verify-user",
		"grant", "revoke-grant", "add-group-member", "remove-group-member",
	} {
		path = "/api/auth/admin/" + path
		require.Equal(t, http.StatusForbidden, alice.post(path, fields{}).status, path)
		require.Equal(t, http.StatusBadRequest, admin.post(path, fields{}).status, path)
		nobody := i.browser().post(path, fields{})
		require.Equal(t, http.StatusUnauthorized, nobody.status, path)
		require.Empty(t, nobody.body)
		foreign := admin.do(http.MethodPost, path, "application/json", "{}", map[string]string{"Origin": "https://evil.example"})
		require.Equal(t, "INVALID_ORIGIN", code(t, foreign), path)
		require.Equal(t, http.StatusMethodNotAllowed, admin.get(path).status, path)
	}
}

func TestVerification(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised, func(o *server.Options) { o.VerifyAtOnce = false })
	id := i.browser().signUp(fields{"email": "dora@example.com", "password": "Passw0rd!dora", "name": "Dora"}).json(t)["user"].(map[string]any)["id"]
	credentials := fields{"email": "dora@example.com", "password": "Passw0rd!dora"}
	require.Equal(t, "EMAIL_NOT_VERIFIED", code(t, i.browser().post("/api/auth/sign-in/email", credentials)))
	require.Equal(t, http.StatusOK, i.admin().post("/api/auth/admin/verify-user", fields{"userId": id}).status)
	require.Equal(t, http.StatusOK, i.browser().post("/api/auth/sign-in/email", credentials).status)
}

func TestSignInAttemptsPerClientAddress(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Observed, func(o *server.Options) { o.SignInAttempts = mode.Observed.SignInAttempts() })
	try := func(address string) answer {
		return i.browser().do(http.MethodPost, "/api/auth/sign-in/email", "application/json", `{"email":"alice@example.com","password":"wrong"}`,
			map[string]string{"X-Forwarded-For": address})
	}
	for range 3 {
		require.Equal(t, http.StatusUnauthorized, try("192.0.2.1").status)
	}
	refused := try("192.0.2.1")
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Equal(t, "text/plain", mediaType(refused.header.Get("Content-Type")))
	require.NotEmpty(t, refused.header.Get("X-Retry-After"))
	require.Equal(t, http.StatusTooManyRequests, try("203.0.113.9, 192.0.2.1").status, "only the last hop counts")
	require.Equal(t, http.StatusUnauthorized, try("192.0.2.2").status)
	form := url.Values{"email": {"alice@example.com"}, "password": {"x"}, "return_to": {"/api/auth/oauth2/authorize?x"}}
	page := i.browser().do(http.MethodPost, "/sign-in", "application/x-www-form-urlencoded", form.Encode(), map[string]string{"X-Forwarded-For": "192.0.2.1"})
	require.Equal(t, http.StatusTooManyRequests, page.status, "the form has no attempts of its own")
	i.clock.advance(mode.SignInWindow)
	require.Equal(t, http.StatusUnauthorized, try("192.0.2.1").status)
}

func TestStateSurvivesARestartAndAChangeOfMode(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	alice := i.alice()
	cookie, keySet := cookieOf(alice), alice.get("/api/auth/jwks").body
	i.serve(mode.Promised)
	again := i.browser().do(http.MethodGet, "/api/auth/get-session", "", "", map[string]string{"Cookie": cookie})
	require.Contains(t, again.body, "alice@example.com")
	require.Equal(t, keySet, i.browser().get("/api/auth/jwks").body)
	i.serve(mode.Observed)
	require.Contains(t, i.browser().get("/api/auth/jwks").body, "Ed25519")
	var users int
	require.NoError(t, i.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM users`).Scan(&users))
	require.Equal(t, 4, users, "seeding is idempotent")
}

func TestLogsHoldNoPersonalData(t *testing.T) {
	t.Parallel()
	i := start(t, mode.Promised)
	alice := i.alice()
	userID, sessionID := alice.session()
	i.browser().signUp(fields{"email": "alice@example.com", "password": "Passw0rd!alice", "name": "Alice Anders"})
	i.browser().post("/api/auth/sign-in/email", fields{"email": "alice@example.com", "password": "wrong"})
	_, err := i.db.Owner.Exec(t.Context(), `ALTER TABLE sessions RENAME TO sessions_gone`)
	require.NoError(t, err)
	failed := i.browser().post("/api/auth/sign-in/email", fields{"email": "alice@example.com", "password": "Passw0rd!alice"})
	require.Equal(t, http.StatusInternalServerError, failed.status)
	require.Empty(t, failed.body)
	logs := i.logs.String()
	require.Contains(t, logs, "account request failed")
	for _, secret := range []string{"alice@", "Alice", "Passw0rd", userID, sessionID, cookieOf(alice)} {
		require.NotContains(t, logs, secret)
	}
}
