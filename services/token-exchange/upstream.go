package tokenexchange

import (
	"context"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/mesh"
	"github.com/shadowless/shadowless/services/token-exchange/internal/broker"
	"github.com/shadowless/shadowless/services/token-exchange/internal/store"
)

// resealInterval is how often sealed keys are looked at: those of a former
// key-encryption key are sealed anew.
const resealInterval = time.Minute

// upstream makes the broker of broker mode. In the other mode there is none, and
// upstream keys cannot be set.
func (s settings) upstream(m *mesh.Mesh, cfg Config) broker.Custody {
	keys := store.NewUpstreamKeys(m.Pool, s.encryption)
	m.Go("upstream keys", func(ctx context.Context) error {
		tick := time.NewTicker(resealInterval)
		defer tick.Stop()
		for {
			if err := keys.Reseal(ctx); err != nil && ctx.Err() == nil {
				m.Logger.WarnContext(ctx, "upstream keys are not sealed anew yet", "cause", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
	custody := broker.Custody{Store: keys}
	if cfg.Mode == ModeBroker {
		custody.Broker = broker.New(broker.Options{
			Upstream: broker.NewUpstream(strings.TrimRight(cfg.UpstreamURL, "/"), m.HTTPClient),
			Keys:     keys, Verifier: m.Verifier, Own: []string{Name}, Issuer: cfg.Issuer, Logger: m.Logger, Now: time.Now,
		})
	}
	return custody
}
