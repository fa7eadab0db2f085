// Command fasthttp is a minimal reverse proxy with the server and the client of fasthttp, the
// library that the gateway uses. The bench compares the gateway with it. Its arguments are the
// address to listen on and the URL of the origin.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of connections and messages.
const (
	headerTimeout    = 10 * time.Second
	idleTimeout      = 5 * time.Minute
	originTimeout    = time.Minute // of an idle connection to the origin
	originConns      = 256
	maxBody          = 4 << 20
	maxRequestHeader = 16 << 10
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fasthttp ADDRESS ORIGIN")
		os.Exit(2)
	}
	origin, err := url.Parse(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "fasthttp:", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "fasthttp:", newServer(origin).ListenAndServe(os.Args[1]))
	os.Exit(1)
}

func newServer(origin *url.URL) *fasthttp.Server {
	p := &proxy{host: origin.Host, client: &fasthttp.HostClient{
		Addr: origin.Host, MaxConns: originConns, MaxIdleConnDuration: originTimeout, ConnPoolStrategy: fasthttp.LIFO,
		MaxResponseBodySize: maxBody, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
	}}
	return &fasthttp.Server{Handler: p.serve, ReadTimeout: headerTimeout, IdleTimeout: idleTimeout,
		ReadBufferSize: maxRequestHeader, MaxRequestBodySize: maxBody, NoDefaultServerHeader: true, NoDefaultContentType: true}
}

// proxy forwards requests to one host.
type proxy struct {
	host   string
	client *fasthttp.HostClient
}

func (p *proxy) serve(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	removeHopByHop(h)
	h.SetBytesV(fasthttp.HeaderXForwardedHost, h.Host())
	h.Set(fasthttp.HeaderXForwardedProto, "http")
	h.Set(fasthttp.HeaderXForwardedFor, clientIP(ctx.RemoteAddr()))
	ctx.Request.SetHost(p.host)
	if err := p.client.Do(&ctx.Request, &ctx.Response); err != nil {
		ctx.Error(http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		return
	}
	removeHopByHop(&ctx.Response.Header)
}

func clientIP(remote net.Addr) string {
	host, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		return "unknown" // RFC 7239, section 6.2
	}
	return host
}

// header is a request header or a response header.
type header interface {
	PeekAll(name string) [][]byte
	Del(name string)
}

// hopByHop are the hop-by-hop fields (RFC 9110, section 7.6.1).
var hopByHop = []string{
	fasthttp.HeaderConnection, "Keep-Alive", "Proxy-Connection", fasthttp.HeaderProxyAuthenticate, fasthttp.HeaderProxyAuthorization,
	fasthttp.HeaderTE, fasthttp.HeaderTrailer, fasthttp.HeaderTransferEncoding, fasthttp.HeaderUpgrade,
}

// removeHopByHop removes the hop-by-hop fields and the fields that Connection lists.
func removeHopByHop(h header) {
	var named []string
	for _, line := range h.PeekAll(fasthttp.HeaderConnection) {
		named = append(named, strings.Split(string(line), ",")...)
	}
	for _, name := range named {
		h.Del(strings.TrimSpace(name))
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}
