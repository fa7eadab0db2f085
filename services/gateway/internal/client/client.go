// Package client finds out which address a request comes from. A header can say
// anything, so X-Forwarded-For is believed only from the right and only as far as
// it was written by proxies that we trust.
package client

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the address ranges of trusted proxies. It reads a comma separated
// list of CIDRs.
type Proxies []netip.Prefix

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = nil
	for field := range strings.SplitSeq(string(text), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(field)
		if err != nil {
			return fmt.Errorf("read a CIDR: %w", err)
		}
		*p = append(*p, prefix.Masked())
	}
	return nil
}

// Expected says in configuration errors what is.
func (Proxies) Expected() string { return "a comma separated list of CIDRs such as 10.0.0.0/8" }

func (p Proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// maxHops bounds how far X-Forwarded-For is followed.
const maxHops = 16

// Addr is the address of the client: the peer's, or, when that is a trusted proxy,
// the rightmost address in X-Forwarded-For that is not. It is not valid when the
// server knows no address.
func (p Proxies) Addr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Behind(peer.Addr().Unmap(), r.Header["X-Forwarded-For"])
}

// Behind is Addr of a peer that sends these values of X-Forwarded-For.
func (p Proxies) Behind(addr netip.Addr, hops []string) netip.Addr {
	if len(p) == 0 || !p.trust(addr) {
		return addr
	}
	for i, seen := len(hops)-1, 0; i >= 0; i-- {
		for line := hops[i]; line != "" && seen < maxHops; seen++ {
			comma := strings.LastIndexByte(line, ',')
			hop, err := netip.ParseAddr(strings.TrimSpace(line[comma+1:]))
			if err != nil {
				return addr
			}
			addr = hop.Unmap().WithZone("")
			if !p.trust(addr) {
				return addr
			}
			line = line[:max(comma, 0)]
		}
	}
	return addr
}

// Subscriber is the part of an address that one client can be held to: all of an
// IPv4 address, the first 64 bits of an IPv6 one (RFC 6177: a site has at least
// those).
func Subscriber(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	prefix, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return prefix.Addr()
}
