package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is who called: the connection's other end, or, where that is a
// proxy of ours, the last address in X-Forwarded-For that is not. What stands
// before it was written by the client and proves nothing.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !ours(addr) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	return addr
}
