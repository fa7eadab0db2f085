package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// edge is the TCP path from a process to a server or another process, a proxy in this process.
type edge struct {
	name  string
	proxy *toxiproxy.Proxy
}

// Toxics log to the logger of zerolog, which writes to standard error.
func init() { zerolog.SetGlobalLevel(zerolog.Disabled) }

func newEdge(name, upstream string) (*edge, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("start the proxy of %s: %w", name, err)
	}
	return &edge{name, proxy}, nil
}

func (e *edge) address() string { return e.proxy.Listen }

// toxic is a behavior of an edge: https://github.com/Shopify/toxiproxy#toxics
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // "upstream" or "downstream"
	Attributes map[string]any `json:"attributes"`
}

// add adds toxics to the connections of the edge, also to those that are open. The returned
// function removes all toxics.
func (e *edge) add(ctx context.Context, toxics ...toxic) (remove func(), err error) {
	remove = func() { e.proxy.Toxics.ResetToxics(context.WithoutCancel(ctx)) }
	for _, t := range toxics {
		body, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		if _, err := e.proxy.Toxics.AddToxicJson(bytes.NewReader(body)); err != nil {
			remove()
			return nil, fmt.Errorf("add %s to %s: %w", t.Type, e.name, err)
		}
	}
	return remove, nil
}
