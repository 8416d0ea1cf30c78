package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/billing"
	"github.com/shadowless/shadowless/services/console"
	devidp "github.com/shadowless/shadowless/services/dev-idp"
	identityrelay "github.com/shadowless/shadowless/services/identity-relay"
	"github.com/shadowless/shadowless/services/orders"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/tests/deploy"
)

// service is what its command reads.
type service struct {
	variables []config.Variable
	load      func(values map[string]string) error
}

func of[C any](prefix string) service {
	return service{config.Variables[C](), func(values map[string]string) error { return deploy.Load[C](prefix, values) }}
}

var services = map[string]service{
	"orders":         of[orders.Config](orders.Prefix),
	"billing":        of[billing.Config](billing.Prefix),
	"token-exchange": of[tokenexchange.Config](tokenexchange.Prefix),
	"identity-relay": of[identityrelay.Config](identityrelay.Prefix),
	"console":        of[console.Config](console.Prefix),
	"dev-idp":        of[devidp.Config](devidp.Prefix),
}

func TestEnvironment_IsWhatTheServicesRead(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		c := decode(t, manifests(t, overlay))
		seen := 0
		for _, w := range c.Workloads() {
			s, ok := services[w.App]
			if !ok {
				continue
			}
			seen++
			t.Run(overlay+"/"+w.App, func(t *testing.T) {
				t.Parallel()
				require.Empty(t, deploy.UnknownVariables(w.App, c.Environment(w), s.variables))
				values, err := c.Mount(w, t.TempDir())
				require.NoError(t, err)
				require.NoError(t, s.load(values), "-check-config in the pod")
			})
		}
		require.Equal(t, map[string]int{"dev": 6, "prod": 5}[overlay], seen)
	}
}

func TestEnvironment_PlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	workload := func(c *deploy.Cluster, app string) deploy.Pods {
		for _, w := range c.Workloads() {
			if w.App == app {
				return w
			}
		}
		require.Fail(t, "no such workload")
		return deploy.Pods{}
	}
	t.Run("a variable that nobody reads", func(t *testing.T) {
		t.Parallel()
		c := planted(t, good, "  LOG_LEVEL: INFO\n", "  LOG_LEVEL: INFO\n  LOGLEVEL: INFO\n")
		requireFault(t, deploy.UnknownVariables("orders", c.Environment(workload(c, "orders")), services["orders"].variables), "LOGLEVEL")
	})
	for name, planting := range map[string]struct{ text, by, says string }{
		"a required variable is gone":    {"  AUTHN_CONFIG_FILE: ", "  AUTHN_CONFIG_FILES: ", "AUTHN_CONFIG_FILE is required"},
		"a file that no volume holds":    {"/run/secrets/shadowless/database-url\n", "/run/secrets/shadowless/database\n", "DATABASE_URL_FILE"},
		"plain HTTP's switch":            {"  LOG_LEVEL: INFO\n", "  LOG_LEVEL: INFO\n  INSECURE_PLAIN_HTTP: \"yes\"\n", "INSECURE_PLAIN_HTTP"},
		"an unknown variable of its own": {"BILLING_REFUND_DECIDER: idp", "BILLING_REFUND_DECIDERS: idp", "BILLING_REFUND_DECIDERS is not a known variable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := planted(t, good, planting.text, planting.by)
			values, err := c.Mount(workload(c, "billing"), t.TempDir())
			require.NoError(t, err)
			require.ErrorContains(t, services["billing"].load(values), planting.says)
		})
	}
}

// The cluster's development identity provider knows the same people, model and
// contexts as that of one machine.
func TestDevIDPSettings_AreTheDefaultsInACluster(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", "k8s", "components", "dev-idp", "settings.yaml"))
	require.NoError(t, err)
	defaults, err := os.ReadFile(filepath.Join("..", "..", "services", "dev-idp", "internal", "settings", "default.yaml"))
	require.NoError(t, err)
	for _, section := range []string{"registration_contexts:", "model:", "users:"} {
		require.Equal(t, part(t, string(defaults), section), part(t, string(raw), section))
	}
}

// part of a YAML file from one top-level key to the next.
func part(t *testing.T, file, key string) string {
	t.Helper()
	i := strings.Index(file, "\n"+key)
	require.GreaterOrEqual(t, i, 0, key)
	rest := file[i+1:]
	lines := strings.SplitAfter(rest, "\n")
	end := len(lines[0])
	for _, line := range lines[1:] {
		if line != "" && line[0] >= 'a' && line[0] <= 'z' {
			break
		}
		end += len(line)
	}
	return strings.TrimSpace(rest[:end])
}
