package clientaddr_test

import (
	"net/netip"
	"testing"

	"ecommerce-stack.dev/services/internal/clientaddr"
)

func TestSubscriberOfIPv6IsPrefix64(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7",
		"2001:db8::1": "2001:db8::", "2001:db8::2:3": "2001:db8::", "2001:db8:0:1::1": "2001:db8:0:1::", "fe80::1%eth0": "fe80::",
	} {
		if got := clientaddr.Subscriber(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	if clientaddr.Subscriber(netip.Addr{}).IsValid() {
		t.Error("the subscriber of the zero address is valid")
	}
}
