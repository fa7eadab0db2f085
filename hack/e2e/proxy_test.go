package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// patchGateway patches spec.gateway of the sample stack, and waits until the rollout is
// complete.
func patchGateway(t *testing.T, patch string) {
	t.Helper()
	generation := func() string {
		return mustKubectl(t, "-n", namespace, "get", "deploy", stack+"-gateway", "-o", "jsonpath={.metadata.generation}")
	}
	before := generation()
	mustKubectl(t, "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"gateway":`+patch+`}}`)
	eventually(t, time.Minute, func() (bool, any) { now := generation(); return now != before, now })
	mustKubectl(t, "-n", namespace, "rollout", "status", "deploy/"+stack+"-gateway", "--timeout=3m")
}

// TestRateLimitOfClientsBehindProxy sends requests through a reverse proxy that appends
// the address of each client to X-Forwarded-For, as an Ingress does.
func TestRateLimitOfClientsBehindProxy(t *testing.T) {
	newShop(t)
	// The private ranges contain the address from which this machine reaches the gateway.
	patchGateway(t, `{"trustedProxies":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16"],"rateLimit":{"requestsPerSecond":1,"burst":5}}`)
	defer patchGateway(t, `{"trustedProxies":null,"rateLimit":null}`)
	target, err := url.Parse(gatewayURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded() // appends
	}})
	defer proxy.Close()
	get := func(from, forwardedFor string) int {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, proxy.URL+"/products", nil)
		if err != nil {
			t.Fatal(err)
		}
		if forwardedFor != "" {
			r.Header.Set("X-Forwarded-For", forwardedFor)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body) // only the status matters
		return res.StatusCode
	}
	const frequent, occasional = "127.0.0.2", "127.0.0.3"
	eventually(t, time.Minute, func() (bool, any) { status := get(frequent, ""); return status == http.StatusTooManyRequests, status })
	if status := get(occasional, ""); status != http.StatusOK {
		t.Errorf("another client behind the proxy gets %d, want 200", status)
	}
	began, passed := time.Now(), 0
	for i := range 30 {
		if get(frequent, fmt.Sprintf("198.51.100.%d", i+1)) == http.StatusOK {
			passed++
		}
	}
	if limit := 2 + int(time.Since(began).Seconds()); passed > limit {
		t.Errorf("%d of 30 requests with forged addresses passed, want at most %d, one a second", passed, limit)
	}
	if status := get(occasional, frequent); status != http.StatusOK {
		t.Errorf("a client that claims the address of another gets %d, want 200", status)
	}
}
