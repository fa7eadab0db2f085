package clientaddr

import "net/netip"

// Subscriber returns the address that identifies the client in limits: an IPv4 address as it is, or
// the first 64 bits of an IPv6 address, because a site has at least a /64 (RFC 6177).
func Subscriber(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}
