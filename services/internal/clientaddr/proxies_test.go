package clientaddr_test

import (
	"net/netip"
	"strings"
	"testing"

	"ecommerce-stack.dev/services/internal/clientaddr"
)

func TestForwardedForIsUsedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	var trusted clientaddr.Proxies
	if err := trusted.UnmarshalText([]byte("10.0.0.0/8, fd00::/8")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a direct client", "203.0.113.7", nil, "203.0.113.7"},
		{"a direct client with the header", "203.0.113.7", []string{"198.51.100.1"}, "203.0.113.7"},
		{"behind a proxy", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"behind two proxies", "10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"a client behind a proxy with the header", "10.0.0.1", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"in several headers", "10.0.0.1", []string{"192.0.2.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"garbage", "10.0.0.1", []string{"198.51.100.1, x"}, "10.0.0.1"},
		{"a long list", "10.0.0.1", []string{"198.51.100.1" + strings.Repeat(",10.0.0.1", 1000)}, "198.51.100.1"},
		{"no header", "10.0.0.1", nil, "10.0.0.1"},
		{"IPv6", "fd00::1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv4 in IPv6", "10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a hop with a port", "10.0.0.1", []string{"198.51.100.1:4711, 10.0.0.2:80"}, "198.51.100.1"},
		{"an IPv6 hop with a port", "10.0.0.1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"trusted hops only", "10.0.0.1", []string{"10.0.0.9, 10.0.0.2"}, "10.0.0.9"},
		{"an empty header", "10.0.0.1", []string{""}, "10.0.0.1"},
	} {
		peer := netip.MustParseAddr(c.peer)
		if got := trusted.Addr(peer, c.forwarded).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if got := (clientaddr.Proxies{}).Addr(peer, c.forwarded); got != peer {
			t.Errorf("%s: without trusted proxies got %s", c.name, got)
		}
	}
	if err := trusted.UnmarshalText([]byte("10.0.0.1")); err == nil {
		t.Error("an address without a prefix length is accepted")
	}
}
