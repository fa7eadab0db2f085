package clientaddr

import "net/netip"

// Subscriber returns the part of an address that one client is held to: all of an IPv4 address,
// the first 64 bits of an IPv6 one (RFC 6177: a site has at least those).
func Subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}
