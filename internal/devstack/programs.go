package devstack

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/pkg/identity/participant"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	exchangeapi "github.com/shadowless/shadowless/services/token-exchange/api"
)

// participants must answer every erasure; the relay always does.
var participants = []string{Orders, Billing, TokenExchange, Console}

// programs lists the services with the environment that each would be given by
// a deployment.
func programs(state *State, cfg Config) ([]program, error) {
	s := &setting{state: state, cfg: cfg}
	list := []program{
		{name: DevIDP, env: s.devIDP(), run: runner(devidp.Prefix, devidp.Run)},
		{name: TokenExchange, env: s.tokenExchange(), run: runner(tokenexchange.Prefix, tokenexchange.Run)},
		{name: IdentityRelay, env: s.identityRelay(), run: runner(identityrelay.Prefix, identityrelay.Run)},
		{name: Billing, env: s.billing(), run: runner(billing.Prefix, billing.Run)},
		{name: Orders, env: s.orders(), run: runner(orders.Prefix, orders.Run)},
		{name: Console, env: s.console(), run: runner(console.Prefix, console.Run)},
	}
	if s.err != nil {
		return nil, s.err
	}
	for _, p := range list {
		if _, err := state.Write([]byte(strings.Join(p.env, "\n")+"\n"), "config", p.name+".env"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// setting makes environments; the first failure stays in err.
type setting struct {
	state *State
	cfg   Config
	err   error
}

func (s *setting) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *setting) observed() bool { return s.cfg.As == Observed }

func (s *setting) url(listener string) string { return s.cfg.Ports.URL(listener) }

// secret is the file of a random secret.
func (s *setting) secret(name string) string { return s.made(name, RandomSecret) }

// made is the file of a secret that fill makes the first time.
func (s *setting) made(name string, fill func() (string, error)) string {
	path, _, err := s.state.Secret(name, fill)
	if err != nil {
		s.fail(err)
	}
	return path
}

// apiKey is the file of a client's key at token-exchange, made here and
// imported there.
func (s *setting) apiKey(client string) string {
	return s.made(client+".key", func() (string, error) {
		key, err := exchangeapi.GenerateKey("dev")
		return key.Reveal(), err
	})
}

func (s *setting) folder(names ...string) string {
	path, err := s.state.Folder(names...)
	if err != nil {
		s.fail(err)
	}
	return path
}

// common is what every service is given.
func (s *setting) common(service string) []string {
	database := DatabaseName(service)
	return []string{
		"ENVIRONMENT=" + config.Development,
		"INSECURE_PLAIN_HTTP=true",
		"LISTEN_ADDRESS=" + s.cfg.Ports.Address(service),
		"LOG_LEVEL=" + s.cfg.LogLevel.String(),
		"DATABASE_URL_FILE=" + s.state.Path("secrets", database+"_runtime.url"),
		"MIGRATION_DATABASE_URL_FILE=" + s.state.Path("secrets", database+"_migrator.url"),
	}
}

// meshed is what every service in the mesh is given besides.
func (s *setting) meshed(service string) []string {
	return append(s.common(service),
		"AUTHN_CONFIG_FILE="+s.authnConfig(),
		"KEY_SET_DIR="+s.folder("keysets", service),
		"NATS_URL=nats://"+s.cfg.Ports.Address(NATS),
		"NATS_NKEY_SEED_FILE="+s.state.Path("secrets", service+".nkey"),
		"TOKEN_EXCHANGE_URL="+s.url(TokenExchange),
		"API_KEY_FILE="+s.apiKey(service),
		"TOMBSTONE_KEY_FILE="+s.made("tombstone-"+service, func() (string, error) { return participant.NewTombstoneKey("k1"), nil }),
	)
}

func (s *setting) devIDP() []string {
	return append(s.common(DevIDP),
		"DEV_IDP_INSECURE_DEVELOPMENT_IDP=true",
		"DEV_IDP_AS="+s.cfg.As,
		"DEV_IDP_BASE_URL="+s.url(DevIDP),
		"DEV_IDP_SEED=true",
		"DEV_IDP_SETTINGS_FILE="+s.idpSettings(),
		// The first retry comes sooner than Auther's: the relay may start after the IdP.
		"DEV_IDP_WEBHOOK_RETRIES=1s,12s,150s,30m",
		// One machine is one address; its demo signs in more than thrice in 10 s.
		"DEV_IDP_SIGN_IN_ATTEMPTS=-1",
	)
}

func (s *setting) orders() []string {
	return append(s.meshed(Orders),
		"ORDERS_BILLING_URL="+s.url(Billing),
		"ORDERS_DIRECTORY_URL="+s.url(DevIDP)+"/api/auth/directory/lookup",
		"ORDERS_DIRECTORY_API_KEY_FILE="+s.secret("idp-api-key-shop-directory"),
	)
}

func (s *setting) billing() []string {
	decider := billing.DeciderIDP
	if s.observed() {
		decider = billing.DeciderLocal
	}
	return append(s.meshed(Billing),
		"BILLING_REFUND_DECIDER="+decider,
		"BILLING_CHECK_PERMISSION_URL="+s.url(DevIDP)+"/api/auth/check-permission",
	)
}

func (s *setting) tokenExchange() []string {
	line := func() (string, error) { return exchangeapi.GenerateSecretKey("k1"), nil }
	return append(s.meshed(TokenExchange),
		"TOKEN_EXCHANGE_ISSUER="+s.url(TokenExchange),
		"TOKEN_EXCHANGE_USERINFO_URL="+s.url(DevIDP)+"/api/auth/oauth2/userinfo",
		"TOKEN_EXCHANGE_KEY_LABEL=dev",
		"TOKEN_EXCHANGE_CLIENTS_FILE="+s.clients(),
		"TOKEN_EXCHANGE_POLICY_FILE="+s.policy(),
		"TOKEN_EXCHANGE_KEY_HASH_KEY_FILE="+s.made("token-exchange-key-hash", line),
		"TOKEN_EXCHANGE_KEY_ENCRYPTION_KEY_FILE="+s.made("token-exchange-key-encryption", line),
	)
}

func (s *setting) identityRelay() []string {
	var named []string
	for _, p := range participants {
		named = append(named, p+"="+s.url(p))
	}
	return append(s.meshed(IdentityRelay),
		"IDENTITY_RELAY_WEBHOOK_SECRETS_FILE="+s.made("idp-webhook", webhookSecret),
		"IDENTITY_RELAY_IDP_URL="+s.url(DevIDP),
		"IDENTITY_RELAY_IDP_CREDENTIAL_FILE="+s.made("idp-administrator", administrator),
		"IDENTITY_RELAY_PARTICIPANTS="+strings.Join(named, ","),
		"IDENTITY_RELAY_ERASURE_GRACE=0s",
		"IDENTITY_RELAY_RECONCILE_GRACE=1s",
	)
}

func (s *setting) console() []string {
	frontDoor := "false"
	if s.observed() {
		frontDoor = "true"
	}
	var places []string
	for _, name := range []string{Orders, Billing, TokenExchange, IdentityRelay, DevIDP} {
		places = append(places, name+"="+s.url(name))
	}
	return append(s.meshed(Console),
		"CONSOLE_PUBLIC_URL="+s.url(Console),
		"CONSOLE_ISSUER="+s.url(DevIDP),
		"CONSOLE_DISCOVERY_URL="+s.url(DevIDP)+"/api/auth/.well-known/openid-configuration",
		"CONSOLE_CLIENT_SECRET_FILE="+s.secret("idp-client-console"),
		"CONSOLE_FRONT_DOOR="+frontDoor,
		"CONSOLE_SESSION_KEY_FILE="+s.made("console-session", sealingKey),
		"CONSOLE_ORDERS_URL="+s.url(Orders),
		"CONSOLE_BILLING_URL="+s.url(Billing),
		"CONSOLE_SIGN_UP_URL="+s.url(DevIDP)+"/api/auth/sign-up/email",
		"CONSOLE_SIGN_UP_SECRET_FILE="+s.secret("idp-sign-up"),
		"CONSOLE_PLACES="+strings.Join(places, ","),
	)
}

func sealingKey() (string, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return base64.StdEncoding.EncodeToString(key), err
}

// administrator is the seeded one of the development IdP.
func administrator() (string, error) {
	for _, u := range DemoUsers {
		if strings.HasPrefix(u.Email, "admin@") {
			raw, err := json.Marshal(map[string]string{"email": u.Email, "password": u.Password})
			return string(raw), err
		}
	}
	return "", nil
}
