// Package httpapi is the REST contract of the auth service.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/openapi"
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
	openapi.Describe(api, manual)
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
	ID        int64      `json:"id" doc:"Id of the user" example:"7"`
	Username  string     `json:"username" doc:"How the user is called; not unique" example:"Ada"`
	Email     string     `json:"email" doc:"What the user logs in with, in lower case" example:"ada@example.com"`
	Role      authn.Role `json:"role" enum:"Client,Manager" doc:"Clients order; managers run the catalogue, the stock and the accounts"`
	Disabled  bool       `json:"disabled" doc:"Whether the user is kept from logging in and refreshing" example:"false"`
	CreatedAt time.Time  `json:"createdAt" doc:"When the account was made"`
}

func userOf(u account.User) user {
	return user{ID: u.ID, Username: u.Username, Email: u.Email, Role: u.Role, Disabled: u.Disabled, CreatedAt: u.CreatedAt}
}

type userAnswer struct{ Body user }

type keysAnswer struct {
	CacheControl string `header:"Cache-Control" doc:"How long the keys may be kept" example:"public, max-age=60"`
	Body         keySet
}

type keySet struct {
	Keys []publicKey `json:"keys" doc:"Empty while tokens are signed with a symmetric key"`
}

// ContentType implements huma.ContentTypeFilter (RFC 7517, section 8.5.2).
func (keySet) ContentType(string) string { return "application/jwk-set+json" }

type publicKey struct {
	Kty string `json:"kty" doc:"Type of the key (RFC 8037, section 2)" example:"OKP"`
	Crv string `json:"crv" doc:"Its curve" example:"Ed25519"`
	Alg string `json:"alg" doc:"The algorithm that it verifies, and no other" example:"EdDSA"`
	Use string `json:"use" doc:"What it is for: signatures" example:"sig"`
	Kid string `json:"kid" doc:"The kid in the header of the tokens that it verifies" example:"2026-11-22"`
	X   string `json:"x" doc:"The public key, base64url" example:"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
}
