package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn/authntest"
)

// serveVariable makes this test binary the gateway.
const serveVariable = "GATEWAY_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// memory is the limit of the container that the gateway is tested for, as the chart sets it.
const memory = 256 << 20

// process is a gateway in a process of its own.
type process struct {
	t    *testing.T
	pid  int
	url  string
	addr string
	wait func() error // until its end
}

// run starts a gateway in front of one service, which plays all three.
func run(t *testing.T, service http.HandlerFunc, keys *authntest.Keys, with ...string) *process {
	t.Helper()
	upstream := httptest.NewServer(service)
	t.Cleanup(upstream.Close)
	return start(t, upstream.URL, keys, with...)
}

// start starts a gateway in front of an upstream, which plays all services.
func start(t *testing.T, upstream string, keys *authntest.Keys, with ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append([]string{serveVariable + "=1", "GOMEMLIMIT=" + strconv.Itoa(memory/4*3),
		"AUTH_URL=" + upstream, "SALES_URL=" + upstream, "STOCK_URL=" + upstream, "HTTP_ADDR=127.0.0.1:0", "METRICS_ADDR=127.0.0.1:0",
		"JWT_ISSUER=" + authntest.Issuer, "JWT_AUDIENCE=" + authntest.Audience, "JWT_KEYS_FILE=" + keys.File, "RATE_LIMIT_RPS=0", "LOGIN_RATE_PER_MINUTE=0"}, with...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, pid: cmd.Process.Pid}
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			p.addr, p.url = line.Address, "http://"+line.Address
		}
	}
	p.wait = sync.OnceValue(func() error {
		_, _ = io.Copy(io.Discard, out)
		return cmd.Wait()
	})
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	if p.url == "" {
		t.Fatal("the gateway did not start")
	}
	return p
}

// dial connects from one of the addresses of the loopback network.
func (p *process) dial(from int) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+from/250), byte(1+from%250))}}
	return d.Dial("tcp", p.addr)
}

func small(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":7}`) }
