package main

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/config"
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
	if !s.Proxies.Trusts(netip.MustParseAddr("fd00::1")) || len(s.Origins) != 2 || s.Auth.Host != "auth:5004" {
		t.Errorf("got %+v", s)
	}
	if limits := s.limits(); limits[route.LimitDefault] != nil || limits[route.LimitLogin] == nil {
		t.Error("0 does not switch a limit off")
	}
}

func TestInvalidSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"AUTH_URL": "ftp://x", "SALES_URL": "http://u:p@sales", "STOCK_URL": "http://stock/path", "TRUSTED_PROXIES": "10.0.0.1",
		"RATE_LIMIT_RPS": "-1", "RATE_LIMIT_BURST": "many", "CACHE_TTL": "-1s", "LOGIN_RATE_PER_MINUTE": "1000001",
		"MAX_CONNECTIONS": "15", "MAX_CONNECTIONS_PER_ADDRESS": "0", "TLS_CERT_FILE": "tls.crt",
	} {
		_, err := config.LoadFrom[settings](environment(map[string]string{variable: value}))
		if err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s=%s: got %v", variable, value, err)
		}
	}
	_, err := config.LoadFrom[settings](environment(map[string]string{"MAX_CONNECTIONS": "15"}))
	if want := "MAX_CONNECTIONS is 15, which is not in the range 16 to 1000000"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestConnectionsAreDerivedFromTheMemoryLimit(t *testing.T) { //nolint:paralleltest // the limit is the process's
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(160 << 20))
	s, err := config.LoadFrom[settings](environment(nil))
	if err != nil || s.connections() != 1024 || s.PerAddress != 256 {
		t.Errorf("got %d and %d, %v; want 1024 in all and 256 an address with 160 MiB", s.connections(), s.PerAddress, err)
	}
	s.MaxConnections = 77
	if s.connections() != 77 {
		t.Errorf("got %d, want what is set", s.connections())
	}
}

func TestChangedRoutesFileIsUsedOnlyIfValid(t *testing.T) {
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
