// Package servertest calls a service's handler in tests and reads its answers.
package servertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Client calls a handler over a real connection.
type Client struct {
	server *httptest.Server
}

// New serves h until the test ends.
func New(t testing.TB, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{s}
}

// URL of a path.
func (c *Client) URL(path string) string { return c.server.URL + path }

// Response is a response to Client.Call.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON decodes the body.
func (a Response) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatalf("status %d, body is no JSON object: %v\n%s", a.Status, err, a.Body)
	}
	return v
}

// Code of a problem; "" when the body is none.
func (a Response) Code() string {
	var v struct{ Code string }
	_ = json.Unmarshal(a.Body, &v)
	return v.Code
}

// Locations of the invalid values that a problem names.
func (a Response) Locations() string {
	var v struct{ Errors []struct{ Location string } }
	_ = json.Unmarshal(a.Body, &v)
	var all []string
	for _, e := range v.Errors {
		all = append(all, e.Location)
	}
	return strings.Join(all, " ")
}

// Call sends a request. header has pairs of a name and a value; an empty bearer or
// value sends none.
func (c *Client) Call(t testing.TB, method, path, bearer, body string, header ...string) Response {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL(path), reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := c.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{res.StatusCode, res.Header, got}
}
