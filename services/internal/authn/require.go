package authn

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/telemetry"
)

type principalKey struct{}

// WithPrincipal returns a context with the caller of an operation.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the caller of the operation that ctx belongs to; ok is false in a
// public one.
func FromContext(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// Scheme is the name of the security scheme in OpenAPI documents.
const Scheme = "bearer"

const rolesMetadata = "authn.roles"

// Require restricts an operation to callers with one of the roles, or, without roles, to
// callers with a valid token, and adds that to its document. A write is refused for a revoked token.
func Require(op huma.Operation, roles ...Role) huma.Operation {
	op = mark(op, roles)
	op.Security = []map[string][]string{{Scheme: {}}}
	op.Errors = append(slices.Clone(op.Errors), http.StatusUnauthorized)
	if len(roles) > 0 || isWrite(op.Method) {
		op.Errors = append(op.Errors, http.StatusForbidden)
	}
	if len(roles) > 0 {
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = string(r)
		}
		op.Extensions = withEntry(op.Extensions, "x-roles", names)
	}
	return op
}

// Public allows everyone to call an operation.
func Public(op huma.Operation) huma.Operation { return mark(op, public) }

// public is a role that no token has.
var public = []Role{"*"}

func mark(op huma.Operation, roles []Role) huma.Operation {
	op.Metadata = withEntry(op.Metadata, rolesMetadata, roles)
	return op
}

func withEntry(m map[string]any, key string, value any) map[string]any {
	out := map[string]any{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// RolesOf returns the roles that Require declared for an operation; none for one that is
// public or for all callers.
func RolesOf(op *huma.Operation) []Role {
	roles, _ := op.Metadata[rolesMetadata].([]Role)
	if slices.Equal(roles, public) {
		return nil
	}
	return roles
}

// RefusesRevoked reports whether an operation is refused for a revoked token.
func RefusesRevoked(op *huma.Operation) bool { return len(op.Security) > 0 && isWrite(op.Method) }

// Declared reports whether an operation was passed to Require or Public.
func Declared(op *huma.Operation) bool {
	_, ok := op.Metadata[rolesMetadata].([]Role)
	return ok
}

// Middleware enforces the access that Require and Public declare. An operation without a
// declaration is forbidden to everyone.
func Middleware(api huma.API, v *Verifier) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		roles, declared := ctx.Operation().Metadata[rolesMetadata].([]Role)
		if declared && slices.Equal(roles, public) {
			next(ctx)
			return
		}
		caller, err := v.authenticate(time.Now(), ctx.Header("Authorization"))
		if err == nil && isWrite(ctx.Method()) {
			err = v.checkRevoked(caller)
		}
		if err == nil && (!declared || !allowed(roles, caller.Role)) {
			err = Forbidden(roles)
		}
		if err != nil {
			refuse(api, ctx, problem.From(err))
			return
		}
		telemetry.SetUserID(ctx.Context(), caller.UserID)
		next(huma.WithContext(ctx, WithPrincipal(ctx.Context(), caller)))
	}
}

func allowed(roles []Role, role Role) bool { return len(roles) == 0 || slices.Contains(roles, role) }

// Errors of requests whose token is missing or has expired.
var (
	ErrNoToken      = failure.Unauthenticated("unauthenticated", "Send a token: Authorization: Bearer <accessToken>.")
	ErrTokenExpired = failure.Unauthenticated(problem.InvalidToken, "The token has expired.")
)

// Forbidden returns the error of a request whose caller has none of the roles.
func Forbidden(roles []Role) error {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return failure.Forbidden("forbidden", "This operation requires the role %s.", strings.Join(names, " or "))
}

func refuse(api huma.API, ctx huma.Context, p *problem.Problem) {
	for name, values := range p.GetHeaders() {
		ctx.SetHeader(name, values[0])
	}
	u := ctx.URL()
	ctx.SetHeader("Content-Type", problem.ContentType)
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", p.ForRequest(ctx.Context(), u.Path)) // the client may be gone
}

// Authorize returns the caller that the value of an Authorization header field identifies at
// a time, for a handler outside huma that is for the given roles; with none, for any. The
// error is the 401 or 403 to respond with; with a 403 the caller is returned, too.
// authorization is not retained.
func (v *Verifier) Authorize(now time.Time, authorization []byte, roles ...Role) (Principal, error) {
	// A token is long, and what is verified keeps no part of it.
	header := unsafe.String(unsafe.SliceData(authorization), len(authorization)) //nolint:gosec // it is read here only
	p, err := v.authenticate(now, header)
	if err == nil && !allowed(roles, p.Role) {
		err = Forbidden(roles)
	}
	return p, err
}

// bearer returns the token of an Authorization header field.
func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(header, " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

func (v *Verifier) authenticate(now time.Time, header string) (Principal, error) {
	if header == "" {
		return Principal{}, ErrNoToken
	}
	token, ok := bearer(header)
	if !ok {
		return Principal{}, failure.Unauthenticated(problem.InvalidToken, "The Authorization header is not a Bearer token.")
	}
	p, err := v.verifyAt(now, token)
	switch {
	case errors.Is(err, ErrExpired):
		return Principal{}, ErrTokenExpired
	case err != nil:
		return Principal{}, failure.Unauthenticated(problem.InvalidToken, "The token is not valid.")
	}
	return p, nil
}

// Subject returns the subject of the tokens of a user.
func Subject(userID int64) string { return strconv.FormatInt(userID, 10) }
