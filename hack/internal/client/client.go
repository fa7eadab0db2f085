// Package client implements a client of the REST API at the gateway, for the programs
// that demonstrate and test the system.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Client is a client of the gateway at URL.
type Client struct {
	// URL is the base URL of the gateway, such as http://localhost:5001.
	URL string
	// HTTP is the HTTP client. The default has a timeout of 40 seconds, which is
	// longer than the longest wait that a request can specify.
	HTTP *http.Client
}

var defaultClient = &http.Client{Timeout: 40 * time.Second}

// Problem is the error of a response that is not 2xx (RFC 9457).
type Problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	TraceID    string `json:"traceId"`
	RetryAfter string `json:"-"`
	Call       string `json:"-"`
}

func (p *Problem) Error() string {
	return fmt.Sprintf("%s: %d %s: %s (trace %s)", p.Call, p.Status, p.Code, p.Detail, p.TraceID)
}

// User is a user with an access token. The zero User sends no token.
type User struct {
	ID    int64
	Email string
	token string
}

// Authorize sets the header field with which a request is that of the user.
func (u User) Authorize(h http.Header) {
	if u.token != "" {
		h.Set("Authorization", "Bearer "+u.token)
	}
}

// Do sends a request with body as JSON and decodes the response into out; both may be
// nil. header contains pairs of a name and a value. The error is a *Problem if the
// response is not 2xx.
func (c *Client) Do(ctx context.Context, as User, method, path string, body, out any, header ...string) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	as.Authorize(req.Header)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	httpClient := c.HTTP
	if httpClient == nil {
		httpClient = defaultClient
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the response to %s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		p := &Problem{Detail: string(raw)}
		_ = json.Unmarshal(raw, p) // Otherwise Detail is the whole body.
		p.Status, p.Call, p.RetryAfter = res.StatusCode, method+" "+path, res.Header.Get("Retry-After")
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode the response to %s %s: %w", method, path, err)
	}
	return nil
}

// maxRetries is the maximum number of retries of doWithRetry.
const maxRetries = 10

// doWithRetry is Do without a user. It retries after Retry-After if the response is
// 429, because all programs of a machine share the limit of one address.
func (c *Client) doWithRetry(ctx context.Context, method, path string, body, out any) error {
	for retries := 0; ; retries++ {
		err := c.Do(ctx, User{}, method, path, body, out)
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Status != http.StatusTooManyRequests || retries == maxRetries {
			return err
		}
		seconds, parseErr := strconv.Atoi(p.RetryAfter)
		if parseErr != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Duration(seconds) * time.Second):
		}
	}
}

// Login logs in and returns the user.
func (c *Client) Login(ctx context.Context, email, password string) (User, error) {
	var tokens struct{ AccessToken string }
	body := map[string]string{"email": email, "password": password}
	if err := c.doWithRetry(ctx, http.MethodPost, "/auth/login", body, &tokens); err != nil {
		return User{}, err
	}
	user := User{Email: email, token: tokens.AccessToken}
	var me struct{ ID int64 }
	err := c.Do(ctx, user, http.MethodGet, "/auth/me", nil, &me)
	user.ID = me.ID
	return user, err
}

// Register creates an account with the role client and logs in.
func (c *Client) Register(ctx context.Context, username, email, password string) (User, error) {
	body := map[string]string{"username": username, "email": email, "password": password}
	if err := c.doWithRetry(ctx, http.MethodPost, "/auth/register/user", body, nil); err != nil {
		return User{}, err
	}
	return c.Login(ctx, email, password)
}

// Product is a product of the catalog.
type Product struct {
	ID          int64  `json:"id,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Price       string `json:"price"`
	Quantity    int64  `json:"initialQuantity,omitempty"`
}

// AddProduct creates a product. It requires a manager.
func (c *Client) AddProduct(ctx context.Context, as User, p Product) (Product, error) {
	var created Product
	return created, c.Do(ctx, as, http.MethodPost, "/products", p, &created)
}

// Stock is the inventory of a product.
type Stock struct {
	ProductID int64 `json:"productId"`
	Available int64 `json:"quantityAvailable"`
	Reserved  int64 `json:"quantityReserved"`
	Removed   int64 `json:"quantityRemoved"`
}

// Receive adds a received quantity to the stock. It requires a manager.
func (c *Client) Receive(ctx context.Context, as User, productID, quantity int64) (Stock, error) {
	var stock Stock
	return stock, c.Do(ctx, as, http.MethodPost, fmt.Sprintf("/stock/%d/receive/%d", productID, quantity), nil, &stock)
}

// Stock returns the inventory of a product.
func (c *Client) Stock(ctx context.Context, as User, productID int64) (Stock, error) {
	var stock Stock
	return stock, c.Do(ctx, as, http.MethodGet, fmt.Sprintf("/stock/%d", productID), nil, &stock)
}

// Audit returns the violations that the audit of the inventory ledger finds.
func (c *Client) Audit(ctx context.Context, as User) ([]string, error) {
	var report struct {
		Violations []struct {
			ProductID int64
			Rule      string
		}
	}
	if err := c.Do(ctx, as, http.MethodGet, "/stock/audit", nil, &report); err != nil {
		return nil, err
	}
	var violations []string
	for _, v := range report.Violations {
		violations = append(violations, fmt.Sprintf("product %d: %s", v.ProductID, v.Rule))
	}
	return violations, nil
}

// Item is a line of an order.
type Item struct {
	ProductID int64 `json:"productId"`
	Quantity  int64 `json:"quantity"`
}

// Sale is a sale.
type Sale struct {
	ID          int64  `json:"id"`
	Status      string `json:"status"`
	Hold        bool   `json:"hold"`
	Reason      string `json:"reason"`
	Items       []Item `json:"items"`
	TotalAmount string `json:"totalAmount"`
	Currency    string `json:"currency"`
}

// Place creates a sale. A key that is not empty is sent as the idempotency key, which
// makes the call safe to repeat.
func (c *Client) Place(ctx context.Context, as User, hold bool, key string, items ...Item) (Sale, error) {
	var header []string
	if key != "" {
		header = []string{"Idempotency-Key", key}
	}
	body := map[string]any{"items": items, "hold": hold}
	var created Sale
	return created, c.Do(ctx, as, http.MethodPost, "/sales", body, &created, header...)
}

// Sale returns a sale.
func (c *Client) Sale(ctx context.Context, as User, id int64) (Sale, error) {
	var sale Sale
	return sale, c.Do(ctx, as, http.MethodGet, fmt.Sprintf("/sales/%d", id), nil, &sale)
}

// Confirm confirms a hold.
func (c *Client) Confirm(ctx context.Context, as User, id int64) (Sale, error) {
	var sale Sale
	return sale, c.Do(ctx, as, http.MethodPatch, fmt.Sprintf("/sales/%d", id), nil, &sale)
}

// Cancel cancels a pending sale or a hold.
func (c *Client) Cancel(ctx context.Context, as User, id int64) error {
	return c.Do(ctx, as, http.MethodDelete, fmt.Sprintf("/sales/%d", id), nil, nil)
}

// pollInterval is the interval between two requests of Await.
const pollInterval = 50 * time.Millisecond

// Await reads a sale until is returns true or ctx ends. wanted describes the condition
// in the error.
func (c *Client) Await(ctx context.Context, as User, id int64, wanted string, is func(Sale) bool) (Sale, error) {
	var last Sale
	for {
		now, err := c.Sale(ctx, as, id)
		if err == nil {
			last = now
			if is(now) {
				return now, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("wait for sale %d to be %s: it is %s: %w", id, wanted, last.Status, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

// CheckReady returns an error if a GET request to url, such as a readiness probe, does
// not return 200.
func CheckReady(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}

// DeadLetter is a dead-lettered message.
type DeadLetter struct {
	ID    int64  `json:"id"`
	Queue string `json:"queue"`
	// Reason is "rejected" or "delivery_limit".
	Reason string `json:"reason"`
	Body   string `json:"body"`
}

// Redrive selects dead letters to send to their queues again; see POST /admin/dead-letters/redrive.
type Redrive struct {
	Queue      string     `json:"queue,omitempty"`
	EventType  string     `json:"eventType,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	DiedBefore *time.Time `json:"diedBefore,omitempty"`
	Limit      int        `json:"limit,omitempty"`
	DryRun     bool       `json:"dryRun,omitempty"`
}

// Redriven is the result of RedriveDeadLetters.
type Redriven struct {
	IDs     []int64 `json:"ids"`
	Skipped int     `json:"skipped"`
	More    bool    `json:"more"`
}

// RedriveDeadLetters redrives dead letters. It requires a manager.
func (c *Client) RedriveDeadLetters(ctx context.Context, as User, r Redrive) (Redriven, error) {
	var result Redriven
	err := c.Do(ctx, as, http.MethodPost, "/admin/dead-letters/redrive", r, &result)
	return result, err
}

// DeadLetters returns the newest dead letters. It requires a manager.
func (c *Client) DeadLetters(ctx context.Context, as User) ([]DeadLetter, error) {
	var page struct{ Items []DeadLetter }
	err := c.Do(ctx, as, http.MethodGet, "/admin/dead-letters", nil, &page)
	return page.Items, err
}
