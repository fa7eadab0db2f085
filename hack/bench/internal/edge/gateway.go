package edge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/local"
)

// gateway is ours, with routes of its own. It logs each request, as it does unless
// told otherwise, to where nobody keeps it.
type gateway struct{}

func (gateway) name() string { return "gateway" }

// routes: the class login is not limited here, the default class is, at a rate that
// nobody reaches, so that every request is counted and none refused.
const routes = `routes:
  - {path: ` + plainPath + `, methods: [GET], upstream: stock, access: public, limit: login}
  - {path: ` + tokenPath + `, methods: [GET], upstream: stock, access: [Client]}
  - {path: ` + cachedPath + `, methods: [GET], upstream: stock, access: public, limit: login, cache: {kind: list}}
`

// users with a token each.
const users = 1000

func (gateway) spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error) {
	path, err := e.build(ctx, ".", "./services/gateway")
	if err != nil {
		return child.Spec{}, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // It never fails.
	keys := fmt.Sprintf(`{"keys":[{"kty":"oct","alg":"HS256","use":"sig","kid":"bench","k":%q}]}`, base64.RawURLEncoding.EncodeToString(secret))
	keysFile, routesFile := filepath.Join(dir, "keys.json"), filepath.Join(dir, "routes.yaml")
	for file, content := range map[string]string{keysFile: keys, routesFile: routes} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return child.Spec{}, err
		}
	}
	signer, err := shop.NewSigner(keysFile)
	if err != nil {
		return child.Spec{}, err
	}
	e.tokens = nil
	for i := range users {
		e.tokens = append(e.tokens, signer.Token(int64(i+1), "Client"))
	}
	url := "http://" + e.origin
	return child.Spec{Path: path, Log: os.DevNull, Env: []string{
		"HTTP_ADDR=" + address, "METRICS_ADDR=127.0.0.1:0", "ROUTES_FILE=" + routesFile,
		"JWT_KEYS_FILE=" + keysFile, "JWT_ISSUER=" + local.Issuer, "JWT_AUDIENCE=" + local.Audience,
		"AUTH_URL=" + url, "SALES_URL=" + url, "STOCK_URL=" + url,
		"RATE_LIMIT_RPS=1000000", "RATE_LIMIT_BURST=1000000", "LOGIN_RATE_PER_MINUTE=0",
		profile.Variable + "=" + os.Getenv(profile.Variable),
	}}, nil
}
