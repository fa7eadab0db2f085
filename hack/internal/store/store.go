// Package store is a client of the REST API at the gateway, for the programs that
// show, test and load the system.
package store

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

// Store is the system behind a gateway.
type Store struct {
	// URL of the gateway, such as http://localhost:5001.
	URL string
	// HTTP client; nil is one with a timeout of 40 s, above the longest wait that a
	// call can ask for.
	HTTP *http.Client
}

var patient = &http.Client{Timeout: 40 * time.Second}

// Problem is an answer that is not 2xx (RFC 9457).
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

// User is somebody who logged in. The zero User is anyone.
type User struct {
	ID    int64
	Email string
	token string
}

// Do sends body as JSON, unless it is nil, and decodes the answer into out, unless
// that is nil. header has pairs of a name and a value. The error is a *Problem when
// there was an answer.
func (s *Store) Do(ctx context.Context, as User, method, path string, body, out any, header ...string) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if as.token != "" {
		req.Header.Set("Authorization", "Bearer "+as.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := s.HTTP
	if client == nil {
		client = patient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		p := &Problem{Detail: string(raw)}
		_ = json.Unmarshal(raw, p) // An answer that is no problem is shown as it is.
		p.Status, p.Call, p.RetryAfter = res.StatusCode, method+" "+path, res.Header.Get("Retry-After")
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// maxRefusals is how often politely waits.
const maxRefusals = 10

// politely is Do for anyone, which waits as it is told when there were too many
// calls: all programs of a machine share one address, and its limit.
func (s *Store) politely(ctx context.Context, method, path string, body, out any) error {
	for refusals := 0; ; refusals++ {
		err := s.Do(ctx, User{}, method, path, body, out)
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Status != http.StatusTooManyRequests || refusals == maxRefusals {
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

// Login gives a user's session.
func (s *Store) Login(ctx context.Context, email, password string) (User, error) {
	var tokens struct{ AccessToken string }
	body := map[string]string{"email": email, "password": password}
	if err := s.politely(ctx, http.MethodPost, "/auth/login", body, &tokens); err != nil {
		return User{}, err
	}
	user := User{Email: email, token: tokens.AccessToken}
	var me struct{ ID int64 }
	err := s.Do(ctx, user, http.MethodGet, "/auth/me", nil, &me)
	user.ID = me.ID
	return user, err
}

// Register makes a client's account and logs in.
func (s *Store) Register(ctx context.Context, username, email, password string) (User, error) {
	body := map[string]string{"username": username, "email": email, "password": password}
	if err := s.politely(ctx, http.MethodPost, "/auth/register/user", body, nil); err != nil {
		return User{}, err
	}
	return s.Login(ctx, email, password)
}

// Product of the catalogue.
type Product struct {
	ID          int64  `json:"id,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Price       string `json:"price"`
	Quantity    int64  `json:"initialQuantity,omitempty"`
}

// AddProduct adds a product to the catalogue.
func (s *Store) AddProduct(ctx context.Context, as User, p Product) (Product, error) {
	var made Product
	return made, s.Do(ctx, as, http.MethodPost, "/products", p, &made)
}

// Stock is what there is of a product.
type Stock struct {
	ProductID int64 `json:"productId"`
	Available int64 `json:"quantityAvailable"`
	Reserved  int64 `json:"quantityReserved"`
	Removed   int64 `json:"quantityRemoved"`
}

// Receive takes goods in.
func (s *Store) Receive(ctx context.Context, as User, productID, quantity int64) (Stock, error) {
	var now Stock
	return now, s.Do(ctx, as, http.MethodPost, fmt.Sprintf("/stock/%d/receive/%d", productID, quantity), nil, &now)
}

// Stock reads what there is of a product.
func (s *Store) Stock(ctx context.Context, as User, productID int64) (Stock, error) {
	var now Stock
	return now, s.Do(ctx, as, http.MethodGet, fmt.Sprintf("/stock/%d", productID), nil, &now)
}

// Audit recomputes the ledger and returns what does not add up.
func (s *Store) Audit(ctx context.Context, as User) ([]string, error) {
	var report struct {
		Violations []struct {
			ProductID int64
			Rule      string
		}
	}
	if err := s.Do(ctx, as, http.MethodGet, "/stock/audit", nil, &report); err != nil {
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

// Sale is an order.
type Sale struct {
	ID          int64  `json:"id"`
	Status      string `json:"status"`
	Hold        bool   `json:"hold"`
	Reason      string `json:"reason"`
	Items       []Item `json:"items"`
	TotalAmount string `json:"totalAmount"`
	Currency    string `json:"currency"`
}

// Place orders items. key makes the call safe to repeat when it is not empty.
func (s *Store) Place(ctx context.Context, as User, hold bool, key string, items ...Item) (Sale, error) {
	var header []string
	if key != "" {
		header = []string{"Idempotency-Key", key}
	}
	body := map[string]any{"items": items, "hold": hold}
	var made Sale
	return made, s.Do(ctx, as, http.MethodPost, "/sales", body, &made, header...)
}

// Sale reads an order.
func (s *Store) Sale(ctx context.Context, as User, id int64) (Sale, error) {
	var now Sale
	return now, s.Do(ctx, as, http.MethodGet, fmt.Sprintf("/sales/%d", id), nil, &now)
}

// Confirm says yes to a held order.
func (s *Store) Confirm(ctx context.Context, as User, id int64) (Sale, error) {
	var now Sale
	return now, s.Do(ctx, as, http.MethodPatch, fmt.Sprintf("/sales/%d", id), nil, &now)
}

// Cancel ends a pending order.
func (s *Store) Cancel(ctx context.Context, as User, id int64) error {
	return s.Do(ctx, as, http.MethodDelete, fmt.Sprintf("/sales/%d", id), nil, nil)
}

// lookInterval between two looks of Await.
const lookInterval = 50 * time.Millisecond

// Await reads a sale until it is as wanted or ctx ends; then the error says how it
// was last.
func (s *Store) Await(ctx context.Context, as User, id int64, wanted string, is func(Sale) bool) (Sale, error) {
	var last Sale
	for {
		now, err := s.Sale(ctx, as, id)
		if err == nil {
			last = now
			if is(now) {
				return now, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("sale %d is not %s, but %s: %w", id, wanted, last.Status, ctx.Err())
		case <-time.After(lookInterval):
		}
	}
}

// Answers says whether url, such as a probe, answers 200.
func Answers(ctx context.Context, url string) error {
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

// DeadLetter is a message that was set aside.
type DeadLetter struct {
	ID    int64  `json:"id"`
	Queue string `json:"queue"`
	Body  string `json:"body"`
}

// DeadLetters lists the newest messages that were set aside.
func (s *Store) DeadLetters(ctx context.Context, as User) ([]DeadLetter, error) {
	var page struct{ Items []DeadLetter }
	err := s.Do(ctx, as, http.MethodGet, "/admin/dead-letters", nil, &page)
	return page.Items, err
}
