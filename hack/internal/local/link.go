package local

import (
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Link is a TCP proxy between the services and a server. Tests interrupt it to
// simulate an unavailable server.
type Link struct {
	// Address is the address that the services connect to.
	Address string
	proxy   *toxiproxy.Proxy // nil when Address is the server itself
}

func newLink(name, upstream string) (*Link, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy of %s: %w", name, err)
	}
	return &Link{Address: proxy.Listen, proxy: proxy}, nil
}

// Disconnect closes all connections and refuses new ones. It does nothing without
// a proxy (Options.Direct).
func (l *Link) Disconnect() {
	if l.proxy != nil {
		l.proxy.Stop()
	}
}

// Reconnect accepts connections again, at the same address. It does nothing
// without a proxy (Options.Direct).
func (l *Link) Reconnect() error {
	if l.proxy == nil {
		return nil
	}
	if err := l.proxy.Start(); err != nil {
		return fmt.Errorf("reconnect the proxy of %s: %w", l.proxy.Name, err)
	}
	return nil
}
