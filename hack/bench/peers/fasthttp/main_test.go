package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// start returns the URL of a proxy of an origin.
func start(t *testing.T, origin string) string {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(u)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func TestFieldsOfOneConnectionAreNotForwarded(t *testing.T) {
	t.Parallel()
	received := make(chan *http.Request, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r
		h := w.Header()
		h.Set("Keep-Alive", "timeout=5")
		h.Set("X-End", "2")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "body")
	}))
	defer origin.Close()
	address := start(t, origin.URL)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/a%2Fb/../c?q=1", strings.NewReader("sent"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Keep-Alive", "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Authorization": "Basic x",
		"Authorization": "Bearer x", "X-Forwarded-For": "192.0.2.1",
	} {
		request.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusTeapot || string(body) != "body" || response.Header.Get("X-End") != "2" {
		t.Errorf("response %s %q with %v, %v; want the origin's", response.Status, body, response.Header, err)
	}
	r := <-received
	for header, names := range map[*http.Header][]string{
		&r.Header:        {"Connection", "Keep-Alive", "Te", "Proxy-Authorization"},
		&response.Header: {"Connection", "Keep-Alive"},
	} {
		for _, name := range names {
			if value := header.Get(name); value != "" {
				t.Errorf("%s: %s was forwarded", name, value)
			}
		}
	}
	if r.Method != http.MethodPost || r.RequestURI != "/a%2Fb/../c?q=1" || r.ContentLength != 4 || "http://"+r.Host != origin.URL {
		t.Errorf("the origin received %s %s of %s with %d bytes", r.Method, r.RequestURI, r.Host, r.ContentLength)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer x", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": strings.TrimPrefix(address, "http://"),
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOriginThatCannotBeReachedIsABadGateway(t *testing.T) {
	t.Parallel()
	origin := httptest.NewServer(nil)
	origin.Close()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(start(t, origin.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("response %s, want 502", response.Status)
	}
}
