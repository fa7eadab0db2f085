package contract

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// sessionRules returns the rules of accounts and sessions.
func sessionRules() []rule {
	return []rule{
		{"sessions/a token has its claims", nil, tokenClaims},
		{"sessions/logout ends the session", nil, func(w *testContext) {
			s := w.login(w.bob.account)
			w.must("POST /auth/logout", http.StatusNoContent, call{body: s.refreshRequest()})
			w.must("POST /auth/logout", http.StatusNoContent, call{body: s.refreshRequest()})
			w.must("POST /auth/refresh", http.StatusUnauthorized, call{body: s.refreshRequest()})
		}},
		{"sessions/a password change ends all sessions", nil, func(w *testContext) {
			s := w.newUser()
			other := w.login(s.account)
			next := "another Passphrase " + unique()
			w.must("PUT /auth/password", http.StatusNoContent, call{as: s, body: passwordChange(s, next)})
			for _, ended := range []*session{s, other} {
				w.must("POST /auth/refresh", http.StatusUnauthorized, call{body: ended.refreshRequest()})
			}
			w.must("POST /auth/login", http.StatusUnauthorized, call{body: s.credentials()})
			s.password = next
			w.must("POST /auth/login", http.StatusOK, call{body: s.credentials()})
		}},
		{"sessions/email and password in any form of Unicode", nil, func(w *testContext) {
			name := unique()
			registered := account{name: "Jos\u00e9", email: "jos\u00e9" + name + "@b\u00fccher.example", password: "Ma\u00f1ana-" + name}
			w.register(registered)
			other := account{name: "Jos\u00e9", email: "jose\u0301" + name + "@xn--bcher-kva.example", password: "Man\u0303ana-" + name}
			w.must("POST /auth/login", http.StatusOK, call{body: other.credentials()})
			w.must("POST /auth/register/user", http.StatusConflict, call{body: other.registration()})
		}},
		{"sessions/a disabled user cannot refresh", nil, func(w *testContext) {
			s := w.disabledUser()
			w.must("POST /auth/refresh", http.StatusUnauthorized, call{body: s.refreshRequest()})
			w.must("PATCH /auth/users/{id}", http.StatusOK, call{as: w.manager, args: []any{s.id}, body: map[string]any{"disabled": false}})
			w.must("POST /auth/login", http.StatusOK, call{body: s.credentials()})
		}},
		{"sessions/unknown email and wrong password return the same problem", nil, func(w *testContext) {
			unknown := w.must("POST /auth/login", http.StatusUnauthorized, call{body: newAccount("unknown").credentials()})
			wrong := w.must("POST /auth/login", http.StatusUnauthorized,
				call{body: account{email: w.bob.email, password: "not the password"}.credentials()})
			var first, second problem
			unknown.into(w, &first)
			wrong.into(w, &second)
			if first.Code != second.Code || first.Detail != second.Detail || first.Title != second.Title {
				w.t.Errorf("an unknown email returns %+v, a wrong password %+v", first, second)
			}
		}},
		{"sessions/a client may repeat a refresh within the grace period", nil, func(w *testContext) {
			s := w.login(w.bob.account)
			first := w.must("POST /auth/refresh", http.StatusOK, call{body: s.refreshRequest()}).field(w, "refreshToken")
			if again := w.must("POST /auth/refresh", http.StatusOK, call{body: s.refreshRequest()}).field(w, "refreshToken"); again != first {
				w.t.Errorf("refresh tokens %s and %s, want one", first, again)
			}
		}},
		{"sessions/a refreshed token works", nil, func(w *testContext) {
			s := w.login(w.bob.account)
			w.storeTokens(s, w.must("POST /auth/refresh", http.StatusOK, call{body: s.refreshRequest()}))
			w.must("GET /auth/me", http.StatusOK, call{as: s})
			w.must("POST /auth/refresh", http.StatusOK, call{body: s.refreshRequest()})
		}},
	}
}

func tokenClaims(w *testContext) {
	parts := strings.Split(w.ann.access, ".")
	if len(parts) != 3 {
		w.t.Fatalf("the token has %d parts", len(parts))
	}
	part := func(text string) map[string]any {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		var out map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &out)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return out
	}
	if part(parts[0])["kid"] == nil {
		w.t.Error("the token has no kid")
	}
	claims := part(parts[1])
	for _, name := range []string{"iss", "aud", "sub", "email", "role", "iat", "nbf", "exp", "jti"} {
		if claims[name] == nil {
			w.t.Errorf("the token has no %s", name)
		}
	}
	if claims["sub"] != itoa(w.ann.id) || claims["role"] != "Client" || claims["email"] != w.ann.email {
		w.t.Errorf("the token is for %v, %v, %v", claims["sub"], claims["email"], claims["role"])
	}
}
