package contract_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/contract"
	"ecommerce-stack.dev/hack/internal/local"
)

// Settings of the system. Limits have their defaults; bcrypt and holds are faster.
const (
	holdTTL = 10 * time.Second
	origin  = "https://shop.example.com"
)

// system starts the system for the first test that needs it.
var system = sync.OnceValues(func() (*local.System, error) {
	return local.Start(context.Background(), local.Options{Root: "../..", Env: []string{
		"BCRYPT_COST=4", "HOLD_TTL=" + holdTTL.String(), "CORS_ORIGINS=" + origin, "TRUSTED_PROXIES=127.0.0.0/8",
	}})
})

var started bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if s, err := system(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "stop:", err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// startSystem returns the system.
func startSystem(t *testing.T) *local.System {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	started = true
	s, err := system()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// target returns the system with all optional parts.
func target(t *testing.T) contract.Target {
	t.Helper()
	s := startSystem(t)
	keys, err := contract.ReadKeys(s.KeysFile, local.Issuer, local.Audience)
	if err != nil {
		t.Fatal(err)
	}
	return contract.Target{
		URL: s.URL, ManagerEmail: s.ManagerEmail, ManagerPassword: s.ManagerPassword,
		Services: map[string]string{"auth": s.ServiceURL("auth"), "sales": s.ServiceURL("sales"), "stock": s.ServiceURL("stock")},
		Keys:     keys, Faults: faults{s}, TrustsForwardedFor: true, HoldTTL: holdTTL, Origin: origin,
	}
}
