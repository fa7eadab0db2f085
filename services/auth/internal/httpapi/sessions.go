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
	login := anyone(http.MethodPost, "/auth/login", "log-in", "Log in",
		http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	login.SkipValidateParams = true // a cookie that is not valid is ignored
	huma.Register(api, login, a.login)
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
	Device string `cookie:"device" maxLength:"512" doc:"The cookie that an earlier login of this account has set" example:"AQRYlIRScISs2Hp_7PE-_h4AAAAAawLAwmvPWF-G_rsnTi5g_8_GD43xnh5_sYpSJsHDhDYjAyJQ"`
	client netip.Addr
	https  bool
	Body   struct {
		Email    string `json:"email" minLength:"1" maxLength:"254" doc:"In any case" example:"ada@example.com"`
		Password string `json:"password" minLength:"1" maxLength:"1024" doc:"The account's password" example:"correct horse battery"`
	}
}

type holderOfToken struct {
	Body struct {
		RefreshToken string `json:"refreshToken" minLength:"1" maxLength:"512" doc:"The refreshToken of the last login or refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
	}
}

// Resolve implements huma.Resolver: it finds the client's address and scheme. The
// gateway replaces X-Forwarded-For by the one address that it has identified.
func (l *login) Resolve(ctx huma.Context) []error {
	r, _ := humachi.Unwrap(ctx)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		l.client = peer.Addr()
	}
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) == 1 {
		if addr, err := netip.ParseAddr(forwarded[0]); err == nil {
			l.client = addr
		}
	}
	l.https = r.Header.Get("X-Forwarded-Proto") == "https"
	return nil
}

var _ huma.Resolver = (*login)(nil)

type loginResponse struct {
	SetCookie string `header:"Set-Cookie" doc:"Names the client as a known device of this account" example:"device=AQRYlIRScISs2Hp_7PE-_h4AAAAAawLAwmvPWF-G_rsnTi5g_8_GD43xnh5_sYpSJsHDhDYjAyJQ; Path=/auth/login; Max-Age=15552000; HttpOnly; Secure; SameSite=Strict"`
	Body      session
}

type sessionAnswer struct{ Body session }

type session struct {
	AccessToken  string `json:"accessToken" doc:"Send it as Authorization: Bearer" example:"eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYtMTEtMjIifQ.eyJzdWIiOiI3In0.c2lnbmF0dXJl"`
	TokenType    string `json:"tokenType" enum:"Bearer" doc:"How the access token is sent"`
	ExpiresIn    int64  `json:"expiresIn" example:"900" doc:"Seconds until the access token expires"`
	RefreshToken string `json:"refreshToken" doc:"Works once, in POST /auth/refresh" example:"Vn3X0kq2mJ8yTg5wLr7bZ1cQ9dHs4eUfAoPiNxKjYtM"`
}

func sessionOf(s account.Session) session {
	return session{AccessToken: s.AccessToken, TokenType: "Bearer", ExpiresIn: int64(s.ExpiresIn.Seconds()), RefreshToken: s.RefreshToken}
}

func (a *API) login(ctx context.Context, in *login) (*loginResponse, error) {
	s, err := a.Accounts.Login(ctx, account.LoginRequest{
		Email: in.Body.Email, Password: in.Body.Password, Client: in.client, DeviceCookie: in.Device,
	})
	if err != nil {
		return nil, err
	}
	// Secure follows the scheme of the request: over plain HTTP, as in development, clients
	// would drop a Secure cookie. One that leaks opens no account; it only has its own
	// count of failures.
	//nolint:gosec // G124: see above
	cookie := http.Cookie{Name: "device", Value: s.DeviceCookie, Path: "/auth/login", MaxAge: int(account.DeviceTTL.Seconds()),
		HttpOnly: true, Secure: in.https, SameSite: http.SameSiteStrictMode}
	return &loginResponse{SetCookie: cookie.String(), Body: sessionOf(s)}, nil
}

func (a *API) refresh(ctx context.Context, in *holderOfToken) (*sessionAnswer, error) {
	s, err := a.Accounts.Refresh(ctx, in.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	return &sessionAnswer{Body: sessionOf(s)}, nil
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
