//go:build !race

// The race detector needs memory, too.

package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

var peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory returns the most resident memory that the process has had, in bytes.
func (p *process) peakMemory() int64 {
	p.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		p.t.Fatalf("the gateway was killed: %v", err)
	}
	kb, err := strconv.ParseInt(string(peak.FindSubmatch(status)[1]), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kb << 10
}

// others makes requests on new connections until the returned function is called, which
// returns how many there were, and those that failed.
func (p *process) others(path string, headers ...string) (stop func() (made int, failed []string)) {
	ctx, cancel := context.WithCancel(context.Background())
	var made int
	var failed []string
	var done sync.WaitGroup
	done.Go(func() {
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			made++
			r, _ := http.NewRequest(http.MethodGet, p.url+path, nil)
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			res, err := client.Do(r)
			if err != nil {
				failed = append(failed, err.Error())
				continue
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				failed = append(failed, res.Status)
			}
		}
	})
	return func() (int, []string) { cancel(); done.Wait(); return made, failed }
}

// files returns how many connections this process can hold, at most n.
func files(t *testing.T, n int) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return min(n, int(limit.Cur)-1000)
}

// TestConnectionsUseBoundedMemory opens connections of each kind from many addresses.
// The gateway's peak stays below the limit of its container, and others are served.
func TestConnectionsUseBoundedMemory(t *testing.T) { //nolint:paralleltest // it needs most of the files of the process
	if testing.Short() {
		t.Skip("it opens thousands of connections")
	}
	for _, attack := range []struct {
		name        string
		connections int
		send        string
	}{
		{"idle", 20_000, ""},
		{"unfinished header of 15 KB", 8_000, "GET /products/7 HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 15<<10)},
		{"unfinished header of 30 KB", 8_000, "GET /products/7 HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 30<<10)},
		{"unfinished body of 63 KB", 8_000, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 64000\r\n\r\n" + strings.Repeat("b", 63_000)},
		{"unfinished body of 1 MB", 2_000, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("b", 100_000)},
	} {
		t.Run(attack.name, func(t *testing.T) { //nolint:paralleltest // see above
			p := run(t, small, authntest.New(t))
			stop := p.others("/products/7")
			n := files(t, attack.connections)
			conns := make([]net.Conn, n)
			defer func() {
				for _, c := range conns {
					if c != nil {
						_ = c.Close()
					}
				}
			}()
			var wg sync.WaitGroup
			const workers = 8
			for worker := range workers {
				wg.Go(func() {
					for i := worker; i < n; i += workers {
						c, err := p.dial(i % 80)
						if err != nil {
							continue // The gateway may refuse it.
						}
						conns[i] = c
						_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
						_, _ = io.WriteString(c, attack.send)
					}
				})
			}
			wg.Wait()
			made, failed := stop()
			if len(failed) > 0 || made == 0 {
				t.Errorf("%d of %d requests of others failed: %.200s", len(failed), made, failed)
			}
			most := p.peakMemory()
			t.Logf("%d connections: peak memory %d MiB, %d requests of others", n, most>>20, made)
			if most > memory {
				t.Errorf("the peak is %d MiB, the container has %d", most>>20, memory>>20)
			}
		})
	}
}

// TestSlowClientsDoNotOccupyUpstreamConnections requests large responses from five
// addresses, and reads none of them.
func TestSlowClientsDoNotOccupyUpstreamConnections(t *testing.T) { //nolint:paralleltest // it needs many files
	if testing.Short() {
		t.Skip("it opens a thousand connections")
	}
	large := `{"items":"` + strings.Repeat("x", 600<<10) + `"}`
	keys := authntest.New(t)
	p := run(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stock/7" {
			small(w, r)
			return
		}
		_, _ = io.WriteString(w, large)
	}, keys)
	bearer := keys.Bearer(t, 1, authn.Manager)
	stop := p.others("/stock/7", "Authorization", bearer)
	var conns []net.Conn
	for i := range 1_040 {
		c, err := p.dial(i % 5)
		if err != nil {
			continue
		}
		defer c.Close()
		conns = append(conns, c)
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = io.WriteString(c, "GET /stock/8 HTTP/1.1\r\nHost: x\r\nAuthorization: "+bearer+"\r\n\r\n")
	}
	for _, c := range conns { // The beginning of each response shows that it was requested.
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Read(make([]byte, 12))
	}
	made, failed := stop()
	if len(failed) > 0 || made == 0 {
		t.Errorf("%d of %d requests of others failed: %.200s", len(failed), made, failed)
	}
	if most := p.peakMemory(); most > memory {
		t.Errorf("the peak is %d MiB, the container has %d", most>>20, memory>>20)
	}
}

func TestTooManyFieldsAreRefusedBeforeAnyWork(t *testing.T) {
	t.Parallel()
	p := run(t, small, authntest.New(t))
	for fields, want := range map[int]int{100: 200, 101: 431, 3000: 431, 6000: 431} {
		c, err := p.dial(0)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		request := "GET /products/7 HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A:\r\n", fields) + "\r\n"
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != want {
			t.Errorf("%d fields: got %v, %v, want %d", fields, res, err, want)
		}
		_ = c.Close()
	}
}
