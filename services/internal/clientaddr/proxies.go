// Package clientaddr implements the identification of clients by their address. A client can send
// any X-Forwarded-For, so the header is read from the right, and only as far as trusted proxies
// wrote it.
package clientaddr

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/realclientip/realclientip-go"
)

const forwardedFor = "X-Forwarded-For"

// Proxies are the address ranges of trusted proxies.
type Proxies struct {
	prefixes []netip.Prefix
	strategy realclientip.Strategy
}

// UnmarshalText implements encoding.TextUnmarshaler for a comma-separated list of CIDRs.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = Proxies{}
	var ranges []net.IPNet
	for field := range strings.SplitSeq(string(text), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		_, ipNet, err := net.ParseCIDR(field)
		if err != nil {
			return fmt.Errorf("parse a CIDR: %w", err)
		}
		prefix, err := netip.ParsePrefix(ipNet.String())
		if err != nil {
			return fmt.Errorf("parse a CIDR: %w", err)
		}
		p.prefixes = append(p.prefixes, prefix)
		ranges = append(ranges, *ipNet)
	}
	strategy, err := realclientip.NewRightmostTrustedRangeStrategy(forwardedFor, ranges)
	p.strategy = strategy
	return err
}

// Expected describes the form of the setting for errors of package config.
func (Proxies) Expected() string { return "a comma-separated list of CIDRs such as 10.0.0.0/8" }

// Trusts reports whether an address is that of a trusted proxy.
func (p Proxies) Trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// Addr returns the address of the client of a request from peer with the given values of
// X-Forwarded-For. That is peer, unless it is a trusted proxy; then it is the rightmost address in
// the header that is not one, or else the leftmost. Addresses may have a port. If the selected value
// is not an address, Addr returns peer.
func (p Proxies) Addr(peer netip.Addr, hops []string) netip.Addr {
	if len(hops) == 0 || !p.Trusts(peer) {
		return peer
	}
	if addr, ok := parse(p.strategy.ClientIP(http.Header{forwardedFor: hops}, "")); ok {
		return addr
	}
	leftmost, _, _ := strings.Cut(hops[0], ",")
	if addr, ok := parse(leftmost); ok && p.Trusts(addr) {
		return addr
	}
	return peer
}

// parse returns the address in a value of X-Forwarded-For, which may have a port.
func parse(hop string) (netip.Addr, bool) {
	ip, err := realclientip.ParseIPAddr(strings.TrimSpace(hop))
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip.IP)
	return addr.Unmap(), ok
}
