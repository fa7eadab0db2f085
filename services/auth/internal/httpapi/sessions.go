package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/auth/internal/account"
)

func (a *API) registerSessions(api huma.API) {
	huma.Register(api, anyone(http.MethodPost, "/auth/login", "log-in", "Log in",
		http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests), a.login)
	huma.Register(api, anyone(http.MethodPost, "/auth/refresh", "refresh", "Exchange a refresh token for a new session",
		http.StatusUnauthorized), a.refresh)
	huma.Register(api, noContent(anyone(http.MethodPost, "/auth/logout", "log-out", "End a session")), a.logout)
	huma.Register(api, noContent(holders(http.MethodPut, "/auth/password", "change-password", "Change the own password",
		http.StatusForbidden, http.StatusTooManyRequests)), a.changePassword)
}

func noContent(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusNoContent
	return op
}

// Credentials are looked at, never judged: what no account can have is wrong like
// any other.
type login struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"254" doc:"In any case" example:"ada@example.com"`
		Password string `json:"password" minLength:"1" maxLength:"1024" doc:"The account's password" example:"correct horse battery"`
	}
}

type holderOfToken struct {
	Body struct {
		RefreshToken string `json:"refreshToken" minLength:"1" maxLength:"512" doc:"The refreshToken of the last login or refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
	}
}

type sessionAnswer struct {
	Body struct {
		AccessToken  string `json:"accessToken" doc:"Send it as Authorization: Bearer" example:"eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYtMTEtMjIifQ.eyJzdWIiOiI3In0.c2lnbmF0dXJl"`
		TokenType    string `json:"tokenType" enum:"Bearer" doc:"How the access token is sent"`
		ExpiresIn    int64  `json:"expiresIn" example:"900" doc:"Seconds until the access token expires"`
		RefreshToken string `json:"refreshToken" doc:"Works once, in POST /auth/refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
	}
}

func answer(s account.Session, err error) (*sessionAnswer, error) {
	if err != nil {
		return nil, err
	}
	out := &sessionAnswer{}
	out.Body.AccessToken, out.Body.TokenType = s.AccessToken, "Bearer"
	out.Body.ExpiresIn, out.Body.RefreshToken = int64(s.ExpiresIn.Seconds()), s.RefreshToken
	return out, nil
}

func (a *API) login(ctx context.Context, in *login) (*sessionAnswer, error) {
	return answer(a.Accounts.Login(ctx, in.Body.Email, in.Body.Password))
}

func (a *API) refresh(ctx context.Context, in *holderOfToken) (*sessionAnswer, error) {
	return answer(a.Accounts.Refresh(ctx, in.Body.RefreshToken))
}

func (a *API) logout(ctx context.Context, in *holderOfToken) (*struct{}, error) {
	return nil, a.Accounts.Logout(ctx, in.Body.RefreshToken)
}

type passwordChange struct {
	Body struct {
		CurrentPassword string `json:"currentPassword" minLength:"1" maxLength:"1024" doc:"The password until now" example:"correct horse battery"`
		NewPassword     string `json:"newPassword" maxLength:"1024" doc:"8 to 72 bytes, not among the most common ones" example:"staple battery horse"`
	}
}

func (a *API) changePassword(ctx context.Context, in *passwordChange) (*struct{}, error) {
	return nil, a.Accounts.ChangePassword(ctx, caller(ctx), in.Body.CurrentPassword, in.Body.NewPassword)
}

func (a *API) keys(context.Context, *struct{}) (*keysAnswer, error) {
	body, err := a.PublicKeys()
	if err != nil {
		return nil, err
	}
	out := &keysAnswer{CacheControl: "public, max-age=60"}
	if err := json.Unmarshal(body, &out.Body); err != nil {
		return nil, fmt.Errorf("read the public keys: %w", err)
	}
	return out, nil
}
