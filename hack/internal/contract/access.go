package contract

import (
	"slices"
	"strings"
	"testing"
)

// public are the operations that require no token.
var public = []string{
	"GET /.well-known/jwks.json",
	"GET /products",
	"GET /products/{productId}",
	"POST /auth/login",
	"POST /auth/logout",
	"POST /auth/refresh",
	"POST /auth/register/user",
}

// anyRole are the operations for every authenticated user.
var anyRole = []string{"GET /auth/me", "PUT /auth/password"}

// rolesOf returns the roles that may call an operation, and whether it is public.
// Operations that are not listed are for managers.
func rolesOf(op *Operation) (roles []string, isPublic bool) {
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

// Access checks that the roles of every operation in the document are those of the
// contract.
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
		roles, isPublic := rolesOf(op)
		if op.Public() != isPublic {
			t.Errorf("%s: public is %v in the document, %v in the contract", name, op.Public(), isPublic)
		}
		if !slices.Equal(op.Roles, roles) {
			t.Errorf("%s: roles are %v in the document, %v in the contract", name, op.Roles, roles)
		}
	}
}
