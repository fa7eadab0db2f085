// Package shop generates the load of customers at the gateway and checks the results.
package shop

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/hack/internal/local"
)

// Customers is the number of customers, each with a token.
const Customers = 1000

// Shop is a system with products.
type Shop struct {
	// Commit is the earlier revision of the services; "" is the present source tree.
	Commit string
	System *local.System
	// DB is a separate connection pool, to read rows and counters.
	DB *sql.DB
	// NoAudit skips the audit of the system, which reads the whole ledger. The removed
	// stock is still compared with the confirmed sales.
	NoAudit bool

	tokens  []string // of the customers
	manager string   // the token of the manager
}

// Open opens the shop of a system with products.
func (s *Shop) Open(system *local.System, db *sql.DB) (err error) {
	s.System, s.DB = system, db
	if s.tokens, err = Tokens(system.KeysFile, Customers, "Client"); err != nil {
		return err
	}
	managers, err := Tokens(system.KeysFile, 1, "Manager")
	if err == nil {
		s.manager = managers[0]
	}
	return err
}

// client is an HTTP client with a low overhead, because it shares the machine with the
// measured system.
type client struct {
	fasthttp.HostClient
	url string
}

// timeout is the time limit of a request and its response. maxConns is below the limit of the
// gateway for one address (MAX_CONNECTIONS_PER_ADDRESS); requests wait for a free connection.
const (
	timeout  = 50 * time.Second
	maxConns = 192
)

func newClient(url string) *client {
	return &client{url: url, HostClient: fasthttp.HostClient{Addr: strings.TrimPrefix(url, "http://"), MaxConns: maxConns,
		MaxConnWaitTimeout: timeout, ConnPoolStrategy: fasthttp.LIFO, MaxIdemponentCallAttempts: 1}}
}

// do sends a request with a token, which may be "", and a JSON body, which may be nil, with an
// idempotency key. It returns the header Location and the body, and an error if the status is
// not want.
func (c *client) do(ctx context.Context, want int, method, path, token string, body []byte) (location string, response []byte, err error) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.Header.SetMethod(method)
	req.SetRequestURI(c.url + path)
	if token != "" {
		req.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+token)
	}
	if body != nil {
		req.Header.SetContentType("application/json")
		req.Header.Set("Idempotency-Key", rand.Text())
		req.SetBodyRaw(body)
	}
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	if err := c.DoTimeout(req, res, timeout); err != nil {
		return "", nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode() != want {
		return "", nil, fmt.Errorf("%s %s: status %d, want %d: %s", method, path, res.StatusCode(), want, res.Body())
	}
	return string(res.Header.Peek(fasthttp.HeaderLocation)), append([]byte(nil), res.Body()...), nil
}

// audit runs the audit of the system and returns an error if it finds violations.
func (s *Shop) audit(ctx context.Context, gateway *client) error {
	if s.NoAudit {
		return nil
	}
	_, body, err := gateway.do(ctx, http.StatusOK, http.MethodGet, "/stock/audit", s.manager, nil)
	if err != nil {
		return err
	}
	var report struct {
		Violations []struct {
			ProductID int64
			Rule      string
		}
	}
	if err := json.Unmarshal(body, &report); err != nil {
		return fmt.Errorf("GET /stock/audit: %w: %s", err, body)
	}
	if n := len(report.Violations); n > 0 {
		return fmt.Errorf("the audit found %d violations, the first of product %d: %s", n, report.Violations[0].ProductID, report.Violations[0].Rule)
	}
	return nil
}
