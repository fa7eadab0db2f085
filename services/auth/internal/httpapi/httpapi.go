// Package httpapi implements the REST API of the auth service.
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

// API implements the operations.
type API struct {
	Accounts *account.Service
	// PublicKeys returns the public JWK Set.
	PublicKeys func() ([]byte, error)
}

// Register registers the operations, with their documentation, in api.
func (a *API) Register(api huma.API) {
	a.registerSessions(api)
	a.registerUsers(api)
	huma.Register(api, publicOperation(http.MethodGet, "/.well-known/jwks.json", "get-keys", "Public keys of access tokens"), a.keys)
	openapi.Describe(api, manual)
}

// publicOperation returns an operation without authentication.
func publicOperation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Public(operation(method, path, id, summary, errors))
}

// userOperation returns an operation for users of any role.
func userOperation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors))
}

// managerOperation returns an operation for managers.
func managerOperation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors), authn.Manager)
}

func operation(method, path, id, summary string, errors []int) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{"auth"},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// callerID returns the id of the user who calls an operation with authentication.
func callerID(ctx context.Context) int64 {
	p, _ := authn.FromContext(ctx)
	return p.UserID
}

// user is the representation of an account.
type user struct {
	ID        int64      `json:"id" doc:"Id of the user" example:"7"`
	Username  string     `json:"username" doc:"Display name, which is not unique" example:"Ada"`
	Email     string     `json:"email" doc:"Email for logins, in lower case" example:"ada@example.com"`
	Role      authn.Role `json:"role" enum:"Client,Manager" doc:"Clients place orders; managers manage the catalog, the stock and the accounts"`
	Disabled  bool       `json:"disabled" doc:"Whether the user cannot log in or refresh" example:"false"`
	CreatedAt time.Time  `json:"createdAt" doc:"Time at which the account was created"`
}

func userOf(u account.User) user {
	return user{ID: u.ID, Username: u.Username, Email: u.Email, Role: u.Role, Disabled: u.Disabled, CreatedAt: u.CreatedAt}
}

type userResponse struct{ Body user }

type keysResponse struct {
	CacheControl string `header:"Cache-Control" doc:"Time for which the keys may be cached" example:"public, max-age=60"`
	Body         keySet
}

type keySet struct {
	Keys []publicKey `json:"keys" doc:"Empty if tokens are signed with a symmetric key"`
}

// ContentType implements huma.ContentTypeFilter (RFC 7517, section 8.5.2).
func (keySet) ContentType(string) string { return "application/jwk-set+json" }

type publicKey struct {
	Kty string `json:"kty" doc:"Key type (RFC 8037, section 2)" example:"OKP"`
	Crv string `json:"crv" doc:"Curve" example:"Ed25519"`
	Alg string `json:"alg" doc:"The only algorithm that the key verifies" example:"EdDSA"`
	Use string `json:"use" doc:"Use of the key: signatures" example:"sig"`
	Kid string `json:"kid" doc:"Key id, as in the header of the tokens that the key verifies" example:"2026-11-22"`
	X   string `json:"x" doc:"The public key, base64url" example:"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
}
