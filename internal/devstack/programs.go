package devstack

import (
	"strings"

	"github.com/shadowless/shadowless/internal/config"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
)

// programs lists the services with the environment that each would be given by
// a deployment.
func programs(state *State, cfg Config) ([]program, error) {
	s := &setting{state: state, cfg: cfg}
	list := []program{
		{name: DevIDP, env: s.devIDP(), run: runner(devidp.Prefix, devidp.Run)},
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

func (s *setting) folder(names ...string) string {
	path, err := s.state.Folder(names...)
	if err != nil {
		s.fail(err)
	}
	return path
}

func (s *setting) url(listener string) string { return s.cfg.Ports.URL(listener) }

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

func (s *setting) devIDP() []string {
	return append(s.common(DevIDP),
		"DEV_IDP_INSECURE_DEVELOPMENT_IDP=true",
		"DEV_IDP_AS="+s.cfg.As,
		"DEV_IDP_BASE_URL="+s.url(DevIDP),
		"DEV_IDP_SEED=true",
		"DEV_IDP_SETTINGS_FILE="+s.idpSettings(),
	)
}
