package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
)

func environment(with map[string]string) map[string]string {
	all := map[string]string{
		"AUTH_URL": "http://auth:5004", "SALES_URL": "http://sales:5002", "STOCK_URL": "http://stock:5003",
		"JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "JWT_KEYS_FILE": "f",
	}
	maps.Copy(all, with)
	return all
}

func TestSettingsAreReadFromTheEnvironment(t *testing.T) {
	t.Parallel()
	s, err := config.LoadFrom[settings](environment(map[string]string{
		"TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8", "CORS_ORIGINS": "https://a.example,https://b.example",
		"RATE_LIMIT_RPS": "0", "LOGIN_RATE_PER_MINUTE": "5",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Proxies) != 2 || len(s.Origins) != 2 || s.Auth.Host != "auth:5004" {
		t.Errorf("got %+v", s)
	}
	if limits := s.limits(); limits[route.LimitDefault] != nil || limits[route.LimitLogin] == nil {
		t.Error("0 does not switch a limit off")
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"AUTH_URL": "ftp://x", "SALES_URL": "http://u:p@sales", "STOCK_URL": "http://stock/path", "TRUSTED_PROXIES": "10.0.0.1",
		"RATE_LIMIT_RPS": "-1", "RATE_LIMIT_BURST": "many", "CACHE_TTL": "-1s",
	} {
		_, err := config.LoadFrom[settings](environment(map[string]string{variable: value}))
		if err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s=%s: got %v", variable, value, err)
		}
	}
}

func TestARequestThatCannotBeReadIsAProblem(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := engine(http.NotFoundHandler(), server.Limits{Header: time.Second, Read: time.Second, Write: time.Second, Idle: time.Second, HeaderBytes: 1 << 10},
		slog.New(slog.DiscardHandler))
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX : no host\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var p struct {
		Status int
		Code   string
	}
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != 400 || p.Status != 400 || p.Code == "" ||
		res.Header.Get("Content-Type") != problem.ContentType || !res.Close {
		t.Errorf("%d %v %+v, %v; want a problem and the end of the connection", res.StatusCode, res.Header, p, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func TestAChangedRoutesFileIsUsedAndABrokenOneIsNot(t *testing.T) {
	t.Parallel()
	f := routesFile{path: filepath.Join(t.TempDir(), "routes.yaml")}
	write := func(text string) {
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.first(); err == nil {
		t.Error("a file that is missing was read")
	}
	write(string(route.BuiltIn()))
	if _, err := f.first(); err != nil {
		t.Fatal(err)
	}
	var used *route.Table
	use := func(t *route.Table) { used = t }
	if changed, err := f.changed(use); changed || err != nil {
		t.Errorf("the same file: changed %v, %v", changed, err)
	}
	write("routes: []")
	if changed, err := f.changed(use); changed || err == nil || used != nil {
		t.Errorf("a broken file: changed %v, %v", changed, err)
	}
	write(`routes: [{path: /a, methods: [GET], upstream: auth, access: public}]`)
	if changed, err := f.changed(use); !changed || err != nil || used == nil {
		t.Errorf("another file: changed %v, %v", changed, err)
	}
}
