// Command fasthttp is a minimal reverse proxy with the server and the client of fasthttp, the
// library that the gateway uses. The bench compares the gateway with it. Its arguments are the
// address to listen on and the URL of the origin.
package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/valyala/fasthttp"
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

// newServer returns a tuned proxy of the origin.
func newServer(origin *url.URL) *fasthttp.Server {
	client := &fasthttp.HostClient{Addr: origin.Host, MaxConns: 256, MaxIdleConnDuration: time.Minute, ConnPoolStrategy: fasthttp.LIFO,
		MaxResponseBodySize: 4 << 20, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true}
	return &fasthttp.Server{ReadTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, ReadBufferSize: 16 << 10, MaxRequestBodySize: 4 << 20,
		NoDefaultServerHeader: true, NoDefaultContentType: true, Handler: func(ctx *fasthttp.RequestCtx) {
			h := &ctx.Request.Header
			removeHopByHop(h)
			h.SetBytesV(fasthttp.HeaderXForwardedHost, h.Host())
			h.Set(fasthttp.HeaderXForwardedProto, "http")
			h.Set(fasthttp.HeaderXForwardedFor, ctx.RemoteIP().String())
			ctx.Request.SetHost(origin.Host)
			if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error(http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
				return
			}
			removeHopByHop(&ctx.Response.Header)
		}}
}

// header is a request header or a response header.
type header interface{ Del(name string) }

// removeHopByHop removes the hop-by-hop fields (RFC 9110, section 7.6.1).
func removeHopByHop(h header) {
	for _, name := range []string{
		fasthttp.HeaderConnection, "Keep-Alive", "Proxy-Connection", fasthttp.HeaderProxyAuthenticate, fasthttp.HeaderProxyAuthorization,
		fasthttp.HeaderTE, fasthttp.HeaderTrailer, fasthttp.HeaderTransferEncoding, fasthttp.HeaderUpgrade,
	} {
		h.Del(name)
	}
}
