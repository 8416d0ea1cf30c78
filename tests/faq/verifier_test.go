package faq

import (
	"net/http"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/devstack"
	"github.com/shadowless/shadowless/pkg/authn"
	"github.com/shadowless/shadowless/pkg/authn/authntest"
)

// principal verifies a token as the running services do.
func (w *world) principal(token string) *authn.Principal {
	w.t.Helper()
	p, err := w.verifier().Verify(w.ctx(), token)
	require.NoError(w.t, err)
	return p
}

func (w *world) verifier() *authn.Verifier {
	w.t.Helper()
	cfg, err := authn.LoadConfig(w.StateDir + "/config/authn.yaml")
	require.NoError(w.t, err)
	return w.verifierOf(cfg)
}

func (w *world) verifierOf(cfg authn.Config) *authn.Verifier {
	w.t.Helper()
	v := authntest.NewVerifier(w.t, cfg, authn.Options{Audiences: []string{devstack.Orders, devstack.Billing}})
	w.eventually("the keys are there", func() bool { return v.Ready() == nil })
	return v
}

// asker asks the running provider and counts.
func (w *world) asker() (authn.Asker, *atomic.Int64) {
	calls := &atomic.Int64{}
	return authn.NewAutherAsker(w.Ports.URL(devstack.DevIDP)+"/api/auth/check-permission", authn.AutherAskerOptions{
		HTTPClient: &http.Client{Transport: counting{calls}}, FailuresToOpen: 1000,
	}), calls
}

type counting struct{ calls *atomic.Int64 }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}
