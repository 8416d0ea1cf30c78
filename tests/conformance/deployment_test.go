package conformance_test

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/shadowless/shadowless/internal/meshtest"
	tokenexchange "github.com/shadowless/shadowless/services/token-exchange"
	"github.com/shadowless/shadowless/services/token-exchange/api"
	"github.com/shadowless/shadowless/services/token-exchange/tokenexchangetest"
)

// deployment is token-exchange with two replicas, and a journal of what they log.
type deployment struct {
	*tokenexchangetest.Deployment
	a, b  *replica
	admin *api.Admin

	journal *journal // of all replicas
	mu      sync.Mutex
	issued  map[string]string // keys that tests had made
}

// replica is one process's worth of the service.
type replica struct {
	url     string
	service *meshtest.Service
}

type change = func(*tokenexchange.Config)

// deploy starts two replicas.
func deploy(t *testing.T, changes ...change) *deployment {
	t.Helper()
	d := prepare(t, changes...)
	d.a = d.start()
	d.b = d.start()
	return d
}

// prepare makes everything around the service and starts no replica.
func prepare(t *testing.T, changes ...change) *deployment {
	t.Helper()
	d := &deployment{issued: map[string]string{}, journal: newJournal()}
	d.Deployment = tokenexchangetest.New(t, tokenexchangetest.Options{
		Policy: policyYAML, Clients: registrations, Types: []string{"at+jwt", "JWT"}, Log: slog.NewJSONHandler(d.journal, nil),
		Change: func(c *tokenexchange.Config) {
			for _, change := range changes {
				change(c)
			}
		},
	})
	d.admin = d.Operator("operator")
	t.Cleanup(func() { d.journal.searched(t, d.Keys, d.issued) })
	return d
}

// start runs one more replica; the issuer's address leads to the first.
func (d *deployment) start(changes ...change) *replica {
	s := d.Start(d.a == nil, changes...)
	return &replica{url: s.URL, service: s}
}
