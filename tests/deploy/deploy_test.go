package deploy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	drawing "github.com/shadowless/shadowless/deploy"
	"github.com/shadowless/shadowless/internal/credentials"
	"github.com/shadowless/shadowless/tests/deploy"
)

var overlays = []string{"dev", "prod"}

// elsewhere is what an overlay expects to be there already.
var elsewhere = map[string][]string{"prod": {"postgres"}}

var rendered sync.Map // overlay → func() ([]byte, error)

// manifests of an overlay and its Secrets.
func manifests(t *testing.T, overlay string) string {
	t.Helper()
	render, _ := rendered.LoadOrStore(overlay, sync.OnceValues(func() ([]byte, error) {
		return deploy.Render(filepath.Join("..", "..", "deploy", "k8s", "overlays", overlay))
	}))
	build, ok := render.(func() ([]byte, error))
	require.True(t, ok)
	raw, err := build()
	require.NoError(t, err)
	return string(raw) + secrets(t, overlay)
}

func secrets(t *testing.T, overlay string) string {
	t.Helper()
	given := t.TempDir()
	for path, content := range map[string]string{
		"identity-relay/webhook.secrets":        "whsec_0123456789abcdef0123456789abcdef\n",
		"identity-relay/idp-administrator.json": `{"email":"admin@example.com","password":"given"}`,
		"console/oidc-client.secret":            "given\n",
		"console/sign-up.secret":                "given\n",
		"orders/directory-api.key":              "given\n",
	} {
		if overlay == "dev" {
			break
		}
		require.NoError(t, os.MkdirAll(filepath.Join(given, filepath.Dir(path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(given, path), []byte(content), 0o600))
	}
	var out bytes.Buffer
	command := credentials.Command{Overlay: overlay, StateDir: t.TempDir(), Given: given}
	require.NoError(t, command.Run(t.Context(), &out))
	return out.String()
}

func decode(t *testing.T, manifests string) *deploy.Cluster {
	t.Helper()
	c, err := deploy.Decode([]byte(manifests))
	require.NoError(t, err)
	return c
}

// planted replaces text in the manifests, which must have it.
func planted(t *testing.T, manifests, text, by string) *deploy.Cluster {
	t.Helper()
	require.Contains(t, manifests, text)
	return decode(t, strings.Replace(manifests, text, by, 1))
}

func requireFault(t *testing.T, faults []error, says string) {
	t.Helper()
	for _, fault := range faults {
		if strings.Contains(fault.Error(), says) {
			return
		}
	}
	require.Fail(t, "the planted violation was not found", "wanted %q in %v", says, faults)
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			c := decode(t, manifests(t, overlay))
			require.Empty(t, deploy.References(c))
			require.Empty(t, deploy.Probed(c))
			require.Empty(t, deploy.EdgeDifferences(c, drawing.EdgesOf(overlay), elsewhere[overlay]...))
			faults, err := deploy.Restricted(c)
			require.NoError(t, err)
			require.Empty(t, faults)
		})
	}
}

func TestDecode_IsStrict(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	for name, c := range map[string]struct{ text, by, says string }{
		"unknown field": {"automountServiceAccountToken: false", "automountServiceAccountTokens: false", "automountServiceAccountTokens"},
		"unknown kind":  {"kind: PodDisruptionBudget", "kind: PodDisruptionBudgets", "PodDisruptionBudgets"},
		"wrong type":    {"revisionHistoryLimit: 3", "revisionHistoryLimit: three", "revisionHistoryLimit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, good, c.text)
			_, err := deploy.Decode([]byte(strings.Replace(good, c.text, c.by, 1)))
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestReferences_FindWhatLeadsNowhere(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	for name, c := range map[string]struct{ text, by, says string }{
		"ConfigMap":        {"name: authn-", "name: authm-", "there is no ConfigMap"},
		"Secret":           {"secretName: orders-tls", "secretName: order-tls", "there is no Secret order-tls"},
		"service account":  {"serviceAccountName: orders", "serviceAccountName: order", `there is no ServiceAccount "order"`},
		"volume":           {"name: authn\n          readOnly: true\n", "name: auth\n          readOnly: true\n", "there is no volume"},
		"target port":      {"targetPort: https", "targetPort: http", "has no port http"},
		"probe's port":     {"port: monitor", "port: health", "a probe asks port health"},
		"headless service": {"serviceName: nats", "serviceName: nats2", "there is no Service nats2"},
		"selector":         {"  selector:\n    app.kubernetes.io/name: orders\n", "  selector:\n    app.kubernetes.io/name: order\n", "Service orders selects no pods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireFault(t, deploy.References(planted(t, good, c.text, c.by)), c.says)
		})
	}
}

func TestRestricted_RefusesWeakPods(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	for name, c := range map[string]struct{ text, by, says string }{
		"root":             {"runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		"capabilities":     {"drop:\n            - ALL", "drop:\n            - NET_RAW", "capabilities"},
		"escalation":       {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		"seccomp":          {"type: RuntimeDefault", "type: Unconfined", "seccomp"},
		"writable root":    {"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem must be true"},
		"service links":    {"enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks must be false"},
		"mutable image":    {"image: shadowless/orders:dev", "image: shadowless/orders:latest", "no fixed tag"},
		"secret variables": {"configMapRef:\n", "secretRef:\n", "taken into the environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults, err := deploy.Restricted(planted(t, good, c.text, c.by))
			require.NoError(t, err)
			requireFault(t, faults, c.says)
		})
	}
}

func TestProbed_FindsServersNobodyAsks(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	for name, c := range map[string]struct{ text, by, says string }{
		"no readiness": {"path: /readyz\n            port: https\n            scheme: HTTPS", "path: /ready\n            port: https\n            scheme: HTTPS", "/readyz over HTTPS"},
		"plain HTTP":   {"path: /livez\n            port: https\n            scheme: HTTPS", "path: /livez\n            port: https\n            scheme: HTTP", "/livez over HTTPS"},
		"no probe":     {"        readinessProbe:\n          httpGet:\n            path: /healthz?js-server-only=true\n            port: monitor\n          periodSeconds: 5\n", "", "no readiness probe"},
		"no preStop":   {"        lifecycle:\n          preStop:\n            sleep:\n              seconds: 5\n", "", "stops listening before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireFault(t, deploy.Probed(planted(t, good, c.text, c.by)), c.says)
		})
	}
}

func TestEdgeDifferences_FindsEveryKindOfGap(t *testing.T) {
	t.Parallel()
	good := manifests(t, "dev")
	edges := drawing.EdgesOf("dev")
	t.Run("an edge that the drawing does not have", func(t *testing.T) {
		t.Parallel()
		requireFault(t, deploy.EdgeDifferences(decode(t, good), edges[1:]), "is allowed and not in the drawing")
	})
	t.Run("an edge that no policy allows", func(t *testing.T) {
		t.Parallel()
		faults := deploy.EdgeDifferences(decode(t, good), append(edges, drawing.Edge{From: "billing", To: "orders", Port: drawing.HTTPS}))
		requireFault(t, faults, "billing may not open it")
		requireFault(t, faults, "orders does not take it")
	})
	for name, c := range map[string]struct{ text, by, says string }{
		"no default deny": {"spec:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress\n", "spec:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n", "no NetworkPolicy denies"},
		"every port":      {"    ports:\n    - port: 4222\n      protocol: TCP\n", "", "every peer or every port"},
		"every pod":       {"    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: nats\n          app.kubernetes.io/part-of: shadowless\n", "    - podSelector: {}\n", "lets every pod through"},
		"another pod":     {"    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: nats\n", "    - podSelector:\n        matchLabels:\n          app.kubernetes.io/name: natz\n", "selects no pods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireFault(t, deploy.EdgeDifferences(planted(t, good, c.text, c.by), edges), c.says)
		})
	}
}
