package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/page"
)

func (a *API) registerUsers(api huma.API) {
	huma.Register(api, created(publicOperation(http.MethodPost, "/auth/register/user", "register-user", "Create a client account",
		http.StatusConflict)), a.registerAs(authn.Client))
	huma.Register(api, created(managerOperation(http.MethodPost, "/auth/register/manager", "register-manager", "Create a manager account",
		http.StatusConflict)), a.registerAs(authn.Manager))
	huma.Register(api, userOperation(http.MethodGet, "/auth/me", "get-me", "Read your account", http.StatusNotFound), a.me)
	huma.Register(api, managerOperation(http.MethodGet, "/auth/users", "list-users", "List accounts"), a.list)
	huma.Register(api, managerOperation(http.MethodGet, "/auth/users/{id}", "get-user", "Read an account", http.StatusNotFound), a.get)
	huma.Register(api, managerOperation(http.MethodPatch, "/auth/users/{id}", "change-user", "Disable or enable an account",
		http.StatusNotFound, http.StatusConflict), a.change)
}

func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

// registrationRequest is validated by the domain, which has rules that a schema cannot express. The
// limits of the schema only bound the input.
type registrationRequest struct {
	idempotency.Header
	Body struct {
		Username string `json:"username" maxLength:"1024" doc:"1 to 100 characters" example:"Ada"`
		Email    string `json:"email" maxLength:"1024" doc:"Unique without regard to case" example:"ada@example.com"`
		Password string `json:"password" maxLength:"1024" doc:"8 to 72 bytes, not among the most common ones" example:"correct horse battery"`
	}
}

type registrationResponse struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true if this is the stored response to an earlier request" example:"true"`
	Body     user
}

func (a *API) registerAs(role authn.Role) func(context.Context, *registrationRequest) (*registrationResponse, error) {
	return func(ctx context.Context, in *registrationRequest) (*registrationResponse, error) {
		u, replayed, err := a.Accounts.Register(ctx, account.Registration{
			Username: in.Body.Username, Email: in.Body.Email, Password: in.Body.Password, Role: role, ManagerID: callerID(ctx), Key: in.Key,
		})
		return &registrationResponse{Replayed: idempotency.Replayed(replayed), Body: userOf(u)}, err
	}
}

// userResult returns the response for a user, or err.
func userResult(u account.User, err error) (*userResponse, error) {
	if err != nil {
		return nil, err
	}
	return &userResponse{Body: userOf(u)}, nil
}

func (a *API) me(ctx context.Context, _ *struct{}) (*userResponse, error) {
	return userResult(a.Accounts.Store.ByID(ctx, callerID(ctx)))
}

type userRequest struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the user" example:"7"`
}

func (a *API) get(ctx context.Context, in *userRequest) (*userResponse, error) {
	return userResult(a.Accounts.Store.ByID(ctx, in.ID))
}

type userChangeRequest struct {
	ID   int64 `path:"id" minimum:"1" doc:"Id of the user" example:"7"`
	Body struct {
		Disabled bool `json:"disabled" doc:"A disabled user cannot log in or refresh, and existing access tokens are valid only for reads" example:"true"`
	}
}

func (a *API) change(ctx context.Context, in *userChangeRequest) (*userResponse, error) {
	return userResult(a.Accounts.SetDisabled(ctx, callerID(ctx), in.ID, in.Body.Disabled))
}

const usersCursor = "users:id"

type usersResponse struct{ Body page.Page[user] }

func (a *API) list(ctx context.Context, in *page.Query) (*usersResponse, error) {
	after, _, err := page.Decode[int64](usersCursor, in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := a.Accounts.Store.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	users, err := page.Cut(rows, in.Limit, usersCursor, func(u account.User) int64 { return u.ID })
	return &usersResponse{Body: page.Map(users, userOf)}, err
}
