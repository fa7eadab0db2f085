// Package clientaddr identifies the address that a request comes from, and what of it one
// client is held to. A header can contain
// anything, so X-Forwarded-For is believed only from the right, and only as far as
// trusted proxies wrote it.
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

// Proxies are the address ranges of trusted proxies. It reads a comma separated list of
// CIDRs.
type Proxies struct {
	prefixes []netip.Prefix
	strategy realclientip.Strategy
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = Proxies{}
	var ranges []net.IPNet
	for field := range strings.SplitSeq(string(text), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		_, ipNet, err := net.ParseCIDR(field)
		if err != nil {
			return fmt.Errorf("read a CIDR: %w", err)
		}
		prefix, err := netip.ParsePrefix(ipNet.String())
		if err != nil {
			return fmt.Errorf("read a CIDR: %w", err)
		}
		p.prefixes = append(p.prefixes, prefix)
		ranges = append(ranges, *ipNet)
	}
	strategy, err := realclientip.NewRightmostTrustedRangeStrategy(forwardedFor, ranges)
	p.strategy = strategy
	return err
}

// Expected describes the form of the setting for configuration errors.
func (Proxies) Expected() string { return "a comma separated list of CIDRs such as 10.0.0.0/8" }

// Trust reports whether an address is a trusted proxy's.
func (p Proxies) Trust(a netip.Addr) bool {
	return slices.ContainsFunc(p.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// Addr returns the address of the client of a peer that sends the given values of
// X-Forwarded-For: the peer's own, or, when that is a trusted proxy, the rightmost
// address that is not, else the leftmost. A hop may have a port. When a hop that counts
// is no address, the result is the peer's.
func (p Proxies) Addr(peer netip.Addr, hops []string) netip.Addr {
	if len(hops) == 0 || !p.Trust(peer) {
		return peer
	}
	if addr, ok := parse(p.strategy.ClientIP(http.Header{forwardedFor: hops}, "")); ok {
		return addr
	}
	leftmost, _, _ := strings.Cut(hops[0], ",")
	if addr, ok := parse(leftmost); ok && p.Trust(addr) {
		return addr
	}
	return peer
}

// parse returns the address in a hop, which may have a port.
func parse(hop string) (netip.Addr, bool) {
	ip, err := realclientip.ParseIPAddr(strings.TrimSpace(hop))
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip.IP)
	return addr.Unmap(), ok
}
