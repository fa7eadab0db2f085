// Package httpapi is the REST contract of the auth service.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/authn"
)

// API holds what the operations need.
type API struct {
	Accounts *account.Service
	// PublicKeys is the JWK Set that anyone may read.
	PublicKeys func() ([]byte, error)
}

// Register adds every operation to api.
func (a *API) Register(api huma.API) {
	a.registerSessions(api)
	a.registerUsers(api)
	huma.Register(api, anyone(http.MethodGet, "/.well-known/jwks.json", "get-keys", "Public keys of access tokens"), a.keys)
}

func anyone(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Public(operation(method, path, id, summary, errors))
}

func holders(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors))
}

func managers(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors), authn.Manager)
}

func operation(method, path, id, summary string, errors []int) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{"auth"},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// caller is who calls an operation that is not for anyone.
func caller(ctx context.Context) int64 {
	p, _ := authn.FromContext(ctx)
	return p.UserID
}

// user is an account as the contract shows it.
type user struct {
	ID        int64      `json:"id" example:"7"`
	Username  string     `json:"username" example:"Ada"`
	Email     string     `json:"email" example:"ada@example.com"`
	Role      authn.Role `json:"role" enum:"Client,Manager"`
	Disabled  bool       `json:"disabled"`
	CreatedAt time.Time  `json:"createdAt"`
}

func userOf(u account.User) user {
	return user{ID: u.ID, Username: u.Username, Email: u.Email, Role: u.Role, Disabled: u.Disabled, CreatedAt: u.CreatedAt}
}

type userAnswer struct{ Body user }

type keysAnswer struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Body         keySet
}

type keySet struct {
	Keys []publicKey `json:"keys" doc:"Empty while tokens are signed with a symmetric key"`
}

type publicKey struct {
	Kty string `json:"kty" example:"OKP"`
	Crv string `json:"crv" example:"Ed25519"`
	Alg string `json:"alg" example:"EdDSA"`
	Use string `json:"use" example:"sig"`
	Kid string `json:"kid"`
	X   string `json:"x"`
}
