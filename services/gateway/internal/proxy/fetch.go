package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Answer is a whole answer to a GET.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxAnswer bounds an answer that is read whole. The largest of the contract, a page
// of 200 products with long descriptions, has less than 3 MiB.
const maxAnswer = 4 << 20

// Fetch gets path for the gateway itself, in the name of no client. The error is
// what to tell a client.
func (u *Upstream) Fetch(ctx context.Context, path, query string, timeout time.Duration) (Answer, error) {
	if err := u.enter(false); err != nil {
		return Answer{}, err
	}
	defer u.leave(false)
	ctx, cancel := http1.WithTimeout(ctx, timeout, errTimeout)
	defer cancel()
	req := (&http.Request{
		Method: http.MethodGet, Host: u.base.Host,
		URL: &url.URL{Scheme: u.base.Scheme, Host: u.base.Host, Path: path, RawQuery: query},
		Header: http.Header{
			"Accept": {"application/json"}, "User-Agent": {"ecommerce-gateway"},
			server.RequestIDHeader: {telemetry.RequestID(ctx)}, server.TraceParentHeader: {telemetry.TraceParent(ctx)},
		},
	}).WithContext(ctx)
	res, err := u.send(req, false)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		told, _ := u.explain(ctx, err)
		return Answer{}, told
	}
	if len(content) > maxAnswer {
		err := fmt.Errorf("%s answered %s with more than %d bytes", u.name, path, maxAnswer)
		return Answer{}, problem.Unavailable(time.Second).Because(err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: content}, nil
}

// Ready says whether the upstream takes requests, past the breaker.
func (u *Upstream) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base.JoinPath("/readyz").String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", u.name, err)
	}
	res, err := u.round.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", u.name, err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxHeader))
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s is not ready: %s", u.name, res.Status))
	}
	return err
}
