package local

import (
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Link is a TCP connection between the services and a server that can be cut.
type Link struct {
	// Address the services connect to.
	Address string
	proxy   *toxiproxy.Proxy // nil when Address is the server itself
}

func newLink(name, upstream string) (*Link, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("open the link to %s: %w", name, err)
	}
	return &Link{Address: proxy.Listen, proxy: proxy}, nil
}

// Cut breaks all connections and refuses new ones.
func (l *Link) Cut() {
	if l.proxy != nil {
		l.proxy.Stop()
	}
}

// Mend takes connections again, at the same address.
func (l *Link) Mend() error {
	if l.proxy == nil {
		return nil
	}
	if err := l.proxy.Start(); err != nil {
		return fmt.Errorf("mend the link to %s: %w", l.proxy.Name, err)
	}
	return nil
}
