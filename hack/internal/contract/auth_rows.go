package contract

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

// authRows are the rows of accounts and sessions.
func authRows() []row {
	return slices.Concat(
		on("POST /auth/register/user",
			gets(201, "", func(*world) call { return call{body: newAccount("eve").registration()} },
				has("role", "Client"), has("disabled", "false"), has("username", "eve"), filled("id", "email", "createdAt"), noPassword),
			gets(409, "email_taken", func(w *world) call { return call{body: w.ann.registration()} }, code("email_taken")),
			gets(409, "email_taken in capitals", func(w *world) call {
				a := w.ann.account
				a.email = strings.ToUpper(a.email)
				return call{body: a.registration()}
			}, code("email_taken")),
			gets(422, "every field is wrong", func(*world) call {
				return call{body: account{email: "not an address", password: "short"}.registration()}
			}, at("body.username", "body.email", "body.password")),
			gets(422, "password of 73 bytes", registering((rand.Text() + rand.Text() + rand.Text())[:73]), at("body.password")),
			gets(422, "password of 7 bytes", registering("x1Yz8Qp"), at("body.password")),
			gets(422, "common password", registering("password123"), at("body.password")),
			gets(201, "password of 72 bytes", registering((rand.Text() + rand.Text() + rand.Text())[:72])),
			gets(201, "password of 8 bytes", registering("x1Yz8Qp,")),
		),
		on("POST /auth/register/manager",
			gets(201, "", func(w *world) call {
				return call{as: w.manager, body: newAccount("max").registration()}
			}, has("role", "Manager"), filled("id", "createdAt"), noPassword),
			gets(409, "email_taken", func(w *world) call {
				return call{as: w.manager, body: w.ann.registration()}
			}, code("email_taken")),
		),
		sessionRows(), userRows(),
		on("GET /.well-known/jwks.json",
			gets(200, "", func(*world) call { return call{} }, onlyPublicKeys, header("Content-Type", "application/jwk-set+json"))),
	)
}

func registering(password string) func(*world) call {
	return func(*world) call {
		a := newAccount("eve")
		a.password = password
		return call{body: a.registration()}
	}
}

func sessionRows() []row {
	return slices.Concat(
		on("POST /auth/login",
			gets(200, "", func(w *world) call { return call{body: w.ann.credentials()} }, isSession, sends("Set-Cookie")),
			gets(200, "guessed from another address", func(w *world) call {
				guess, attacker := account{email: w.bob.email, password: "not the password"}, w.elsewhere()
				for range 5 {
					attacker.must("POST /auth/login", 401, call{body: guess.credentials()})
				}
				attacker.must("POST /auth/login", 429, call{body: guess.credentials()})
				return call{body: w.bob.credentials()}
			}, isSession).needing(addresses),
			gets(200, "email in capitals", func(w *world) call {
				return call{body: account{email: strings.ToUpper(w.ann.email), password: w.ann.password}.credentials()}
			}, isSession),
			gets(401, "wrong password", func(w *world) call {
				return call{body: account{email: w.bob.email, password: "not the password"}.credentials()}
			}, code("invalid_credentials")),
			gets(401, "unknown email", func(*world) call { return call{body: newAccount("nobody").credentials()} }, code("invalid_credentials")),
			gets(403, "disabled account", func(w *world) call { return call{body: w.disabled().credentials()} }, code("account_disabled")),
			gets(422, "no password", func(w *world) call {
				return call{body: map[string]any{"email": w.ann.email}}
			}, at("body.password")),
			gets(429, "too_many_attempts", func(w *world) call {
				a := newAccount("guessed")
				for range 5 {
					w.must("POST /auth/login", 401, call{body: a.credentials()})
				}
				return call{body: a.credentials()}
			}, code("too_many_attempts"), sends("Retry-After")).needing(addresses),
		),
		on("POST /auth/refresh",
			gets(200, "", func(w *world) call { return call{body: w.login(w.bob.account).refreshing()} }, isSession),
			gets(401, "unknown token", func(*world) call { return call{body: (&session{refresh: unique()}).refreshing()} }),
			gets(401, "used token", func(w *world) call {
				s := w.login(w.bob.account)
				w.must("POST /auth/refresh", 200, call{body: s.refreshing()})
				return call{body: s.refreshing()}
			}),
			gets(401, "the family of a used token", func(w *world) call {
				s := w.login(w.bob.account)
				next := session{}
				w.keep(&next, w.must("POST /auth/refresh", 200, call{body: s.refreshing()}))
				w.must("POST /auth/refresh", 401, call{body: s.refreshing()})
				return call{body: next.refreshing()}
			}),
			gets(422, "", func(*world) call { return call{body: map[string]any{}} }, at("body.refreshToken")),
		),
		on("POST /auth/logout",
			gets(204, "", func(w *world) call { return call{body: w.login(w.bob.account).refreshing()} }),
			gets(422, "", func(*world) call { return call{body: map[string]any{"refreshToken": 7}} }, at("body.refreshToken")),
		),
		on("PUT /auth/password",
			gets(204, "", func(w *world) call { return call{as: w.newcomerOnce(), body: change(w.last, "another Passphrase")} }),
			gets(401, "wrong current password", func(w *world) call {
				return call{as: w.newcomerOnce(), body: map[string]any{"currentPassword": "not it at all", "newPassword": "another Passphrase"}}
			}, code("invalid_credentials")),
			gets(403, "disabled account", func(w *world) call { return call{as: w.disabled(), body: change(w.last, "another Passphrase")} }),
			gets(404, "account that is gone", func(w *world) call {
				s := w.minted(nowhere, "Client")
				return call{as: s, body: map[string]any{"currentPassword": "what it was", "newPassword": "another Passphrase"}}
			}, code("user_not_found")).needing(keys),
			gets(422, "common password", func(w *world) call { return call{as: w.ann, body: change(w.ann, "password")} }, at("body.newPassword")),
			gets(429, "too_many_attempts", func(w *world) call {
				s := w.newcomerOnce()
				wrong := call{as: s, body: map[string]any{"currentPassword": "not it at all", "newPassword": "another Passphrase"}}
				for range 5 {
					w.must("PUT /auth/password", 401, wrong)
				}
				return wrong
			}, code("too_many_attempts")).needing(addresses),
		),
	)
}

func userRows() []row {
	return slices.Concat(
		on("GET /auth/me",
			gets(200, "client", func(w *world) call { return call{as: w.ann} }, has("role", "Client"), has("username", "ann"), noPassword),
			gets(200, "manager", func(w *world) call { return call{as: w.manager} }, has("role", "Manager")),
			gets(404, "account that is gone", func(w *world) call { return call{as: w.minted(nowhere, "Client")} }, code("user_not_found")).needing(keys),
		),
		on("GET /auth/users",
			gets(200, "", func(w *world) call { return call{as: w.manager, query: "limit=1"} }, filled("items")),
		),
		on("GET /auth/users/{id}",
			gets(200, "", func(w *world) call { return call{as: w.manager, args: []any{w.ann.id}} }, has("username", "ann"), noPassword),
			gets(404, "", func(w *world) call { return call{as: w.manager, args: []any{nowhere}} }, code("user_not_found")),
		),
		on("PATCH /auth/users/{id}",
			gets(200, "disable", func(w *world) call {
				id := w.register(newAccount("mallory"))
				return call{as: w.manager, args: []any{id}, body: map[string]any{"disabled": true}}
			}, has("disabled", "true")),
			gets(200, "enable", func(w *world) call {
				return call{as: w.manager, args: []any{w.disabled().id}, body: map[string]any{"disabled": false}}
			}, has("disabled", "false")),
			gets(404, "", func(w *world) call {
				return call{as: w.manager, args: []any{nowhere}, body: map[string]any{"disabled": true}}
			}, code("user_not_found")),
			gets(409, "own account", func(w *world) call {
				return call{as: w.manager, args: []any{w.manager.id}, body: map[string]any{"disabled": true}}
			}, code("own_account")),
			gets(422, "not a boolean", func(w *world) call {
				return call{as: w.manager, args: []any{w.ann.id}, body: map[string]any{"disabled": "yes"}}
			}, at("body.disabled")),
		),
	)
}

// nowhere is an id that nothing has.
const nowhere = int64(1) << 52

func change(s *session, next string) map[string]any {
	return map[string]any{"currentPassword": s.password, "newPassword": next}
}

// newcomerOnce is a newcomer whom the rest of the call finds as last.
func (w *world) newcomerOnce() *session {
	w.t.Helper()
	w.last = w.newcomer()
	return w.last
}

// disabled is a client whose account was disabled after the login, also as last.
func (w *world) disabled() *session {
	w.t.Helper()
	s := w.newcomerOnce()
	w.must("PATCH /auth/users/{id}", http.StatusOK, call{as: w.manager, args: []any{s.id}, body: map[string]any{"disabled": true}})
	return s
}

func isSession(w *world, a *answer) {
	w.t.Helper()
	has("tokenType", "Bearer")(w, a)
	filled("accessToken", "refreshToken", "expiresIn")(w, a)
	header("Cache-Control", "no-store")(w, a)
}

func noPassword(w *world, a *answer) {
	w.t.Helper()
	if strings.Contains(strings.ToLower(string(a.body)), "password") {
		w.t.Errorf("the answer tells of a password: %s", a.body)
	}
}

func onlyPublicKeys(w *world, a *answer) {
	w.t.Helper()
	var set struct{ Keys []map[string]any }
	a.into(w, &set)
	for _, key := range set.Keys {
		if key["kty"] == "oct" || key["k"] != nil || key["d"] != nil {
			w.t.Errorf("key %v is not a public one", key["kid"])
		}
	}
}
