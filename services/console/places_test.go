package console

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/config"
	"github.com/shadowless/shadowless/services/console/internal/web"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	cfg := Config{
		Common:    config.Common{Environment: config.Development},
		Backends:  config.Backends{NATSURL: "nats://127.0.0.1:8422,nats://127.0.0.1:8423"},
		OrdersURL: "http://127.0.0.1:8401", BillingURL: "http://127.0.0.1:8402", Issuer: "http://127.0.0.1:8405",
		Places: map[string]string{"dev-idp": "http://127.0.0.1:8405", "grafana": "http://127.0.0.1:3000/d/1"},
	}
	names := func(list []web.Place) (out []string) {
		for _, p := range list {
			out = append(out, p.Name+" "+p.Address+" "+p.Href)
		}
		return out
	}
	require.Equal(t, []string{
		"orders http://127.0.0.1:8401 http://127.0.0.1:8401/readyz",
		"billing http://127.0.0.1:8402 http://127.0.0.1:8402/readyz",
		"dev-idp http://127.0.0.1:8405 http://127.0.0.1:8405/readyz",
		"nats nats://127.0.0.1:8422 ",
		"grafana http://127.0.0.1:3000/d/1 http://127.0.0.1:3000/d/1",
	}, names(places(cfg)))

	cfg.NATSURL = "nats://user:secret@127.0.0.1:8422"
	require.NotContains(t, names(places(cfg)), "secret")
	cfg.Environment = config.Production
	require.Len(t, places(cfg), 2, "outside of development only what is configured is shown")
}
