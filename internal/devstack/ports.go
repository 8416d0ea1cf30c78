package devstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/shadowless/shadowless/internal/streams"
)

// Names of what listens.
const (
	Console       = "console"
	Orders        = "orders"
	Billing       = "billing"
	TokenExchange = "token-exchange"
	IdentityRelay = "identity-relay"
	DevIDP        = "dev-idp"
	NATS          = "nats"
	Postgres      = "postgres"
)

// Operator is the client and NATS user of the person at the command line.
const Operator = streams.Operator

// Listeners in the order in which they are shown.
var Listeners = []string{Console, Orders, Billing, TokenExchange, IdentityRelay, DevIDP, NATS, Postgres}

// Ports maps each listener to its port on 127.0.0.1.
type Ports map[string]int

// DefaultPorts are the same on every machine, so that documentation can name them.
func DefaultPorts() Ports {
	return Ports{
		Console: 8400, Orders: 8401, Billing: 8402, TokenExchange: 8403, IdentityRelay: 8404, DevIDP: 8405,
		NATS: 8422, Postgres: 8432,
	}
}

// FreePorts are a block of ports that nothing uses, for tests and for a demo
// beside a running system; release lets others take the block. They lie below the
// range from which the kernel takes the ports of outgoing connections: one taken
// from ":0" and closed again was sometimes gone before its service came up. A
// listener on the block's last port keeps other callers away until release.
func FreePorts() (ports Ports, release func(), err error) {
	const first, last, block, attempts = 10_000, 32_000, 16, 100
	for range attempts {
		base := first + block*rand.IntN((last-first)/block) //nolint:gosec // a port is no secret
		guard, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(base+block-1)))
		if err != nil {
			continue
		}
		ports := Ports{}
		for i, name := range Listeners {
			ports[name] = base + i
		}
		release := func() { _ = guard.Close() } // nothing was accepted
		if ports.InUse() == nil {
			return ports, release, nil
		}
		release()
	}
	return nil, nil, errors.New("no block of free ports was found")
}

// Address of a listener, host:port.
func (p Ports) Address(name string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p[name]))
}

// URL of an HTTP listener.
func (p Ports) URL(name string) string { return "http://" + p.Address(name) }

// InUse names every port that something else holds.
func (p Ports) InUse(skip ...string) error {
	var faults []error
	for _, name := range Listeners {
		if slices.Contains(skip, name) {
			continue
		}
		l, err := listen(p.Address(name))
		if err != nil {
			faults = append(faults, fmt.Errorf("port %d, which %s needs, is in use", p[name], name))
			continue
		}
		_ = l.Close() // nothing was accepted
	}
	return errors.Join(faults...)
}

const (
	listenAttempts = 10
	listenPause    = 20 * time.Millisecond
)

// listen tries more than once: a process that is being started beside us holds
// copies of all our descriptors, a listener just closed among them, until it execs.
func listen(address string) (l net.Listener, err error) {
	for range listenAttempts {
		if l, err = net.Listen("tcp", address); err == nil {
			return l, nil
		}
		time.Sleep(listenPause)
	}
	return nil, err
}
