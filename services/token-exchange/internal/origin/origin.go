// Package origin knows from which address a request came. A forwarded header is
// believed only as far as trusted proxies wrote it; what is not certain is
// unknown, and rules about addresses fail closed on it.
package origin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

const (
	header = "X-Forwarded-For"
	// maxHops bounds the work that a header can cause.
	maxHops = 32
	// subnet is what one IPv6 customer has: limits count it as one.
	subnet = 64
)

// Address of a caller. The zero value is unknown.
type Address struct {
	client netip.Addr
	peer   netip.Addr
}

// Client is the caller's address; it is not valid where that is unknown.
func (a Address) Client() netip.Addr { return a.client }

// String is the caller's address, or "" where that is unknown.
func (a Address) String() string {
	if !a.client.IsValid() {
		return ""
	}
	return a.client.String()
}

// Bucket is what limits count the caller under: its address, for IPv6 its /64;
// where it is unknown, whoever is connected.
func (a Address) Bucket() string {
	addr := a.client
	if !addr.IsValid() {
		addr = a.peer
	}
	if addr.Is6() {
		if p, err := addr.Prefix(subnet); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// Proxies are the networks whose forwarded headers are believed.
type Proxies struct{ trusted []netip.Prefix }

// ParseProxies reads networks in CIDR notation.
func ParseProxies(networks []string) (Proxies, error) {
	var p Proxies
	for _, text := range networks {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return Proxies{}, fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

func (p Proxies) trust(a netip.Addr) bool { return Within(p.trusted, a) }

// Within reports whether one of the networks has the address.
func Within(networks []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Of reads a request. The header is walked from its end, where the nearest proxy
// wrote: the first address that is no proxy's is the caller's. A trusted proxy
// that forwards nothing, or nonsense, leaves the caller unknown.
func (p Proxies) Of(r *http.Request) Address {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return Address{}
	}
	peer := at.Addr().Unmap().WithZone("")
	if !p.trust(peer) {
		return Address{client: peer, peer: peer}
	}
	hops := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
	for i := 0; i < maxHops && i < len(hops); i++ {
		hop, ok := parse(hops[len(hops)-1-i])
		switch {
		case !ok:
			return Address{peer: peer}
		case !p.trust(hop):
			return Address{client: hop, peer: peer}
		}
	}
	return Address{peer: peer}
}

func parse(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	a, err := netip.ParseAddr(hop)
	if err != nil {
		withPort, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}

type contextKey struct{}

// Middleware puts the caller's address into the context, of this very request:
// the server's log line waits for the route that the mux writes into it.
func (p Proxies) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*r = *r.WithContext(NewContext(r.Context(), p.Of(r)))
		next.ServeHTTP(w, r)
	})
}

// NewContext carries an address.
func NewContext(ctx context.Context, a Address) context.Context {
	return context.WithValue(ctx, contextKey{}, a)
}

// FromContext returns the caller's address; the zero value where there is none.
func FromContext(ctx context.Context) Address {
	a, _ := ctx.Value(contextKey{}).(Address)
	return a
}

// Known makes the address of a caller that is connected directly.
func Known(a netip.Addr) Address { return Address{client: a, peer: a} }
