package main

import (
	"maps"
	"os"
	"path/filepath"
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
