package main

import (
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

func TestShutdownFinishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	keys := authntest.New(t)
	p := run(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stock/8" {
			entered <- struct{}{}
			<-release
		}
		small(w, r)
	}, keys)
	bearer := keys.Bearer(t, 1, authn.Manager)
	get := func(client *http.Client, path string) (int, error) {
		r, err := http.NewRequest(http.MethodGet, p.url+path, nil)
		if err != nil {
			return 0, err
		}
		r.Header.Set("Authorization", bearer)
		res, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	idle := &http.Client{Transport: &http.Transport{}}
	if status, err := get(idle, "/stock/7"); err != nil || status != http.StatusOK {
		t.Fatalf("got %d, %v", status, err)
	}
	status, failed := make(chan int, 1), make(chan error, 1)
	go func() {
		got, err := get(&http.Client{Transport: &http.Transport{}}, "/stock/8")
		status <- got
		failed <- err
	}()
	<-entered
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := p.dial(0)
		if err != nil {
			break // It accepts no more.
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Fatal("a stopping gateway still accepts connections")
		}
	}
	close(release)
	if got, err := <-status, <-failed; got != http.StatusOK || err != nil {
		t.Errorf("the request in flight got %d, %v", got, err)
	}
	if err := p.wait(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}
