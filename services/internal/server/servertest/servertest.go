// Package servertest implements helpers for tests of HTTP handlers: a client, and the operations of
// the OpenAPI document, a check of it and a fuzz test of all operations.
package servertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Client sends requests to a handler over a TCP connection.
type Client struct {
	server *httptest.Server
}

// New returns a Client of h. It serves h until the test ends.
func New(t testing.TB, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{s}
}

// URL returns the URL of a path.
func (c *Client) URL(path string) string { return c.server.URL + path }

// Response is the response to a Call.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON returns the body, which must be a JSON object.
func (r Response) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.Body, &v); err != nil {
		t.Fatalf("status %d, the body is not a JSON object: %v\n%s", r.Status, err, r.Body)
	}
	return v
}

// Code returns the code of a problem, or "" if the body is not a problem.
func (r Response) Code() string {
	var v struct{ Code string }
	_ = json.Unmarshal(r.Body, &v)
	return v.Code
}

// Locations returns the locations of the invalid values in a problem, separated by spaces.
func (r Response) Locations() string {
	var v struct{ Errors []struct{ Location string } }
	_ = json.Unmarshal(r.Body, &v)
	var all []string
	for _, e := range v.Errors {
		all = append(all, e.Location)
	}
	return strings.Join(all, " ")
}

// Call sends a request and returns its response. header has pairs of a name and a value. Fields with an
// empty value, and an empty bearer, are omitted.
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
