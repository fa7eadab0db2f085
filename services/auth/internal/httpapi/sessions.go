package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"ecommerce-stack.dev/services/auth/internal/account"
)

func (a *API) registerSessions(api huma.API) {
	login := publicOperation(http.MethodPost, "/auth/login", "log-in", "Log in",
		http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	login.SkipValidateParams = true // a cookie that is not valid is ignored
	huma.Register(api, login, a.login)
	huma.Register(api, publicOperation(http.MethodPost, "/auth/refresh", "refresh", "Exchange a refresh token for a new session",
		http.StatusUnauthorized), a.refresh)
	huma.Register(api, noContent(publicOperation(http.MethodPost, "/auth/logout", "log-out", "End a session")), a.logout)
	huma.Register(api, noContent(userOperation(http.MethodPut, "/auth/password", "change-password", "Change your password",
		http.StatusForbidden, http.StatusTooManyRequests)), a.changePassword)
}

func noContent(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusNoContent
	return op
}

// loginRequest has no rules for the form of credentials: malformed ones get the same error as wrong
// ones.
type loginRequest struct {
	Device string `cookie:"device" maxLength:"512" doc:"The cookie of an earlier login to this account" example:"AQRYlIRScISs2Hp_7PE-_h4AAAAAawLAwmvPWF-G_rsnTi5g_8_GD43xnh5_sYpSJsHDhDYjAyJQ"`
	client netip.Addr
	https  bool
	Body   struct {
		Email    string `json:"email" minLength:"1" maxLength:"254" doc:"The email of the account, in any letter case" example:"ada@example.com"`
		Password string `json:"password" minLength:"1" maxLength:"1024" doc:"The account's password" example:"correct horse battery"`
	}
}

// RefreshToken is the body of a request with a refresh token. It is exported because huma ignores
// embedded types that are not.
type RefreshToken struct {
	Body struct {
		RefreshToken string `json:"refreshToken" minLength:"1" maxLength:"512" doc:"The refreshToken of the last login or refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
	}
}

// Resolve implements huma.Resolver. It determines the address and the scheme of the client.
func (l *loginRequest) Resolve(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	l.client, l.https = clientAddress(r), r.Header.Get("X-Forwarded-Proto") == "https"
	return nil
}

// clientAddress returns the address of the client of a request. The gateway replaces X-Forwarded-For
// by the single address that it has identified.
func clientAddress(r *http.Request) (addr netip.Addr) {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = peer.Addr()
	}
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) == 1 {
		if client, err := netip.ParseAddr(forwarded[0]); err == nil {
			addr = client
		}
	}
	return addr
}

// refreshRequest is a RefreshToken from a client.
type refreshRequest struct {
	RefreshToken
	client []byte
}

// Resolve implements huma.Resolver. It determines the client.
func (q *refreshRequest) Resolve(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	q.client = account.ClientID(clientAddress(r).String(), r.UserAgent())
	return nil
}

var _, _ huma.Resolver = (*loginRequest)(nil), (*refreshRequest)(nil)

type loginResponse struct {
	SetCookie string `header:"Set-Cookie" doc:"Identifies the client as a known device of this account" example:"device=AQRYlIRScISs2Hp_7PE-_h4AAAAAawLAwmvPWF-G_rsnTi5g_8_GD43xnh5_sYpSJsHDhDYjAyJQ; Path=/auth/login; Max-Age=15552000; HttpOnly; Secure; SameSite=Strict"`
	Body      session
}

type sessionResponse struct{ Body session }

type session struct {
	AccessToken  string `json:"accessToken" doc:"The token for the header Authorization: Bearer" example:"eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYtMTEtMjIifQ.eyJzdWIiOiI3In0.c2lnbmF0dXJl"`
	TokenType    string `json:"tokenType" enum:"Bearer" doc:"The authentication scheme of the access token"`
	ExpiresIn    int64  `json:"expiresIn" example:"900" doc:"Seconds until the access token expires"`
	RefreshToken string `json:"refreshToken" doc:"Valid once, for POST /auth/refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
}

func sessionOf(s account.Session) session {
	return session{AccessToken: s.AccessToken, TokenType: "Bearer", ExpiresIn: int64(s.ExpiresIn.Seconds()), RefreshToken: s.RefreshToken}
}

func (a *API) login(ctx context.Context, in *loginRequest) (*loginResponse, error) {
	s, err := a.Accounts.Login(ctx, account.LoginRequest{
		Email: in.Body.Email, Password: in.Body.Password, Client: in.client, DeviceCookie: in.Device,
	})
	if err != nil {
		return nil, err
	}
	// The cookie is Secure if the request was: over plain HTTP, as in development, clients would
	// drop a Secure cookie. A stolen cookie gives no access to an account; it only has a
	// separate count of failures.
	//nolint:gosec // G124: see above
	cookie := http.Cookie{Name: "device", Value: s.DeviceCookie, Path: "/auth/login", MaxAge: int(account.DeviceTTL.Seconds()),
		HttpOnly: true, Secure: in.https, SameSite: http.SameSiteStrictMode}
	return &loginResponse{SetCookie: cookie.String(), Body: sessionOf(s)}, nil
}

func (a *API) refresh(ctx context.Context, in *refreshRequest) (*sessionResponse, error) {
	s, err := a.Accounts.Refresh(ctx, in.Body.RefreshToken, in.client)
	if err != nil {
		return nil, err
	}
	return &sessionResponse{Body: sessionOf(s)}, nil
}

func (a *API) logout(ctx context.Context, in *RefreshToken) (*struct{}, error) {
	return nil, a.Accounts.Logout(ctx, in.Body.RefreshToken)
}

type passwordChangeRequest struct {
	Body struct {
		CurrentPassword string `json:"currentPassword" minLength:"1" maxLength:"1024" doc:"The current password" example:"correct horse battery"`
		NewPassword     string `json:"newPassword" maxLength:"1024" doc:"8 to 72 bytes, not among the most common ones" example:"staple battery horse"`
	}
}

func (a *API) changePassword(ctx context.Context, in *passwordChangeRequest) (*struct{}, error) {
	return nil, a.Accounts.ChangePassword(ctx, callerID(ctx), in.Body.CurrentPassword, in.Body.NewPassword)
}

func (a *API) keys(context.Context, *struct{}) (*keysResponse, error) {
	body, err := a.PublicKeys()
	if err != nil {
		return nil, err
	}
	out := &keysResponse{CacheControl: "public, max-age=60"}
	if err := json.Unmarshal(body, &out.Body); err != nil {
		return nil, fmt.Errorf("read the public keys: %w", err)
	}
	return out, nil
}
