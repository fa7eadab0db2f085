package proxy

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

// Fetch gets a target, a path with or without a query, for the gateway itself, on behalf
// of no client, and calls read with the response. The error is the one to respond with.
func (u *Upstream) Fetch(ctx context.Context, target string, timeout time.Duration, read func(*fasthttp.Response)) error {
	inFlight, err := u.acquire(false)
	if err != nil {
		return err
	}
	defer inFlight.release()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	now := time.Now()
	c := call{Call: Call{Began: now, Span: tracing.Of(ctx)}, message: req, deadline: now.Add(timeout)}
	u.address(req, target)
	req.Header.Set(telemetry.RequestIDHeader, telemetry.RequestID(ctx))
	req.Header.Set(telemetry.TraceParentHeader, telemetry.TraceParent(ctx))
	req.Header.SetBytesV(deadline.Header, deadline.Append(nil, c.deadline))
	if err := u.send(req, resp, &c); err != nil {
		return err
	}
	defer u.releaseBuffers(&c)
	read(resp)
	return nil
}

// address makes req a GET of a target.
func (u *Upstream) address(req *fasthttp.Request, target string) {
	req.SetRequestURI(target)
	req.Header.SetHost(u.host)
	req.Header.SetUserAgent("ecommerce-gateway")
	req.Header.Set(fasthttp.HeaderAccept, "application/json")
}

// Document returns the OpenAPI document of the service.
func (u *Upstream) Document(ctx context.Context, timeout time.Duration) ([]byte, error) {
	var body []byte
	status := 0
	err := u.Fetch(ctx, "/openapi.json", timeout, func(r *fasthttp.Response) { status, body = r.StatusCode(), bytes.Clone(r.Body()) })
	if err == nil && status != fasthttp.StatusOK {
		err = fmt.Errorf("get the document of %s: status %d", u.name, status)
	}
	return body, err
}

// Ready returns nil if the upstream accepts requests. It does not ask the breaker.
func (u *Upstream) Ready(ctx context.Context) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(checkTimeout)
	}
	c := call{message: req, deadline: until}
	u.address(req, "/readyz")
	err := u.exchange(req, resp, &c)
	u.releaseBuffers(&c)
	if err == nil && resp.StatusCode() != fasthttp.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode())
	}
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", u.name, err)
	}
	return nil
}
