package credentials

import (
	"fmt"
	"slices"
)

// Names of the services that get credentials.
const (
	orders        = "orders"
	billing       = "billing"
	tokenExchange = "token-exchange"
	identityRelay = "identity-relay"
	console       = "console"
	devIDP        = "dev-idp"

	operator = "operator" // people, through the shadowless command
)

// Overlay is where the Secrets go.
type Overlay struct {
	Name      string
	Namespace string
	// PostgresAddress is host:port of the server that holds every database.
	PostgresAddress string
	// DevIDP: the development identity provider is part of it. Without it, what
	// the real one gives must be given.
	DevIDP bool
}

var overlays = []Overlay{
	{Name: "dev", Namespace: "shadowless", PostgresAddress: "postgres:5432", DevIDP: true},
	{Name: "prod", Namespace: "shadowless", PostgresAddress: "postgres:5432"},
}

// OverlayNamed finds one of deploy/k8s/overlays.
func OverlayNamed(name string) (Overlay, error) {
	i := slices.IndexFunc(overlays, func(o Overlay) bool { return o.Name == name })
	if i < 0 {
		return Overlay{}, fmt.Errorf("there is no overlay %q", name)
	}
	return overlays[i], nil
}

// participants hold data under user IDs.
var participants = []string{orders, billing, tokenExchange, identityRelay, console}

// clients have an API key at token-exchange.
var clients = []string{orders, billing, identityRelay, console, operator}

// Services that run in the overlay.
func (o Overlay) Services() []string {
	if o.DevIDP {
		return append(slices.Clone(participants), devIDP)
	}
	return slices.Clone(participants)
}

// servers have a certificate.
func (o Overlay) servers() []string { return append(o.Services(), "nats", "postgres") }
