// Command origin returns the same response of about 300 bytes to every request, with minimal
// work, so that measurements show the cost of the proxy in front of it. Its argument is the
// address to listen on.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: origin ADDRESS")
		os.Exit(2)
	}
	server := &http.Server{Addr: os.Args[1], Handler: handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	fmt.Fprintln(os.Stderr, "origin:", server.ListenAndServe())
	os.Exit(1)
}

func handler() http.Handler {
	body := []byte(`{"id":7,"name":"Desk","description":"` + strings.Repeat("A thing to have. ", 8) +
		`","price":"19.99","currency":"USD","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}` + "\n")
	length := []string{strconv.Itoa(len(body))}
	kind := []string{"application/json"}
	public, private := []string{"public, max-age=3600"}, []string{"no-store"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = kind, length
		h["Cache-Control"] = private
		if strings.HasPrefix(r.URL.Path, "/cached") {
			h["Cache-Control"] = public
		}
		_, _ = w.Write(body) // The client may have disconnected.
	})
}
