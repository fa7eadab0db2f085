package contract

import (
	"slices"
	"strings"
	"testing"
)

// public are the operations that the contract gives to anyone. No other may go
// without a token.
var public = []string{
	"GET /.well-known/jwks.json",
	"GET /products",
	"GET /products/{productId}",
	"POST /auth/login",
	"POST /auth/logout",
	"POST /auth/refresh",
	"POST /auth/register/user",
}

// anyRole are the operations for whoever has a token.
var anyRole = []string{"GET /auth/me", "PUT /auth/password"}

// rolesOf an operation by the contract, and whether it is for anyone. What the
// contract does not give away is for managers.
func rolesOf(op *Operation) (roles []string, anyone bool) {
	switch {
	case slices.Contains(public, op.Name):
		return nil, true
	case slices.Contains(anyRole, op.Name):
		return nil, false
	case op.Path == "/sales" || strings.HasPrefix(op.Path, "/sales/"):
		return []string{"Client"}, false
	}
	return []string{"Manager"}, false
}

// Access proves that the document gives every operation to those the contract gives
// it to.
func Access(t *testing.T, target Target) {
	t.Helper()
	d := fetchDocument(t, target.URL+"/openapi.json")
	for _, name := range append(slices.Clone(public), anyRole...) {
		if d.Operations[name] == nil {
			t.Errorf("%s is in the contract, but not in the document", name)
		}
	}
	for _, name := range d.Names() {
		op := d.Operations[name]
		roles, anyone := rolesOf(op)
		if op.Public() != anyone {
			t.Errorf("%s: for anyone is %v in the document, %v in the contract", name, op.Public(), anyone)
		}
		if !slices.Equal(op.Roles, roles) {
			t.Errorf("%s: roles are %v in the document, %v in the contract", name, op.Roles, roles)
		}
	}
}
