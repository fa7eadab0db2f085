package contract

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

// authCases returns the cases of accounts and sessions.
func authCases() []testCase {
	return slices.Concat(
		operation("POST /auth/register/user",
			expect(201, "", func(*testContext) call { return call{body: newAccount("eve").registration()} },
				hasField("role", "Client"), hasField("disabled", "false"), hasField("username", "eve"), hasFields("id", "email", "createdAt"), noPassword),
			expect(409, "email_taken", func(w *testContext) call { return call{body: w.ann.registration()} }, hasCode("email_taken")),
			expect(409, "email_taken in capitals", func(w *testContext) call {
				a := w.ann.account
				a.email = strings.ToUpper(a.email)
				return call{body: a.registration()}
			}, hasCode("email_taken")),
			expect(422, "every field is wrong", func(*testContext) call {
				return call{body: account{email: "not an address", password: "short"}.registration()}
			}, hasErrorsAt("body.username", "body.email", "body.password")),
			expect(422, "password of 73 bytes", registrationWith((rand.Text() + rand.Text() + rand.Text())[:73]), hasErrorsAt("body.password")),
			expect(422, "password of 7 bytes", registrationWith("x1Yz8Qp"), hasErrorsAt("body.password")),
			expect(422, "common password", registrationWith("password123"), hasErrorsAt("body.password")),
			expect(201, "password of 72 bytes", registrationWith((rand.Text() + rand.Text() + rand.Text())[:72])),
			expect(201, "password of 8 bytes", registrationWith("x1Yz8Qp,")),
		),
		operation("POST /auth/register/manager",
			expect(201, "", func(w *testContext) call {
				return call{as: w.manager, body: newAccount("max").registration()}
			}, hasField("role", "Manager"), hasFields("id", "createdAt"), noPassword),
			expect(409, "email_taken", func(w *testContext) call {
				return call{as: w.manager, body: w.ann.registration()}
			}, hasCode("email_taken")),
			expect(403, "disabled manager", func(w *testContext) call {
				return call{as: w.disabledManager(), body: newAccount("max").registration()}
			}, hasCode("account_disabled")),
		),
		sessionCases(), userCases(),
		operation("GET /.well-known/jwks.json",
			expect(200, "", func(*testContext) call { return call{} }, onlyPublicKeys, hasHeader("Content-Type", "application/jwk-set+json"))),
	)
}

func registrationWith(password string) func(*testContext) call {
	return func(*testContext) call {
		a := newAccount("eve")
		a.password = password
		return call{body: a.registration()}
	}
}

func sessionCases() []testCase {
	return slices.Concat(
		operation("POST /auth/login",
			expect(200, "", func(w *testContext) call { return call{body: w.ann.credentials()} }, isSession, hasHeaders("Set-Cookie")),
			expect(200, "after wrong passwords from another address", func(w *testContext) call {
				guess, attacker := account{email: w.bob.email, password: "not the password"}, w.withOtherAddress()
				for range 5 {
					attacker.must("POST /auth/login", 401, call{body: guess.credentials()})
				}
				attacker.must("POST /auth/login", 429, call{body: guess.credentials()})
				return call{body: w.bob.credentials()}
			}, isSession).requiring(ownAddress),
			expect(200, "email in capitals", func(w *testContext) call {
				return call{body: account{email: strings.ToUpper(w.ann.email), password: w.ann.password}.credentials()}
			}, isSession),
			expect(401, "wrong password", func(w *testContext) call {
				return call{body: account{email: w.bob.email, password: "not the password"}.credentials()}
			}, hasCode("invalid_credentials")),
			expect(401, "unknown email", func(*testContext) call { return call{body: newAccount("unknown").credentials()} }, hasCode("invalid_credentials")),
			expect(403, "disabled account", func(w *testContext) call { return call{body: w.disabledUser().credentials()} }, hasCode("account_disabled")),
			expect(422, "no password", func(w *testContext) call {
				return call{body: map[string]any{"email": w.ann.email}}
			}, hasErrorsAt("body.password")),
			expect(429, "too_many_attempts", func(w *testContext) call {
				a := newAccount("guessed")
				for range 5 {
					w.must("POST /auth/login", 401, call{body: a.credentials()})
				}
				return call{body: a.credentials()}
			}, hasCode("too_many_attempts"), hasHeaders("Retry-After")).requiring(ownAddress),
		),
		operation("POST /auth/refresh",
			expect(200, "", func(w *testContext) call { return call{body: w.login(w.bob.account).refreshRequest()} }, isSession),
			expect(401, "unknown token", func(*testContext) call { return call{body: (&session{refresh: unique()}).refreshRequest()} }),
			expect(401, "used token", func(w *testContext) call {
				s := w.login(w.bob.account)
				w.must("POST /auth/refresh", 200, call{body: s.refreshRequest()})
				return call{body: s.refreshRequest(), header: otherClient}
			}),
			expect(401, "the family of a used token", func(w *testContext) call {
				s := w.login(w.bob.account)
				next := session{}
				w.storeTokens(&next, w.must("POST /auth/refresh", 200, call{body: s.refreshRequest()}))
				w.must("POST /auth/refresh", 401, call{body: s.refreshRequest(), header: otherClient})
				return call{body: next.refreshRequest()}
			}),
			expect(422, "", func(*testContext) call { return call{body: map[string]any{}} }, hasErrorsAt("body.refreshToken")),
		),
		operation("POST /auth/logout",
			expect(204, "", func(w *testContext) call { return call{body: w.login(w.bob.account).refreshRequest()} }),
			expect(422, "", func(*testContext) call { return call{body: map[string]any{"refreshToken": 7}} }, hasErrorsAt("body.refreshToken")),
		),
		operation("PUT /auth/password",
			expect(204, "", func(w *testContext) call {
				return call{as: w.newLastUser(), body: passwordChange(w.lastUser, "another Passphrase")}
			}),
			expect(401, "wrong current password", func(w *testContext) call {
				return call{as: w.newLastUser(), body: map[string]any{"currentPassword": "not it at all", "newPassword": "another Passphrase"}}
			}, hasCode("invalid_credentials")),
			expect(403, "disabled account", func(w *testContext) call {
				return call{as: w.disabledUser(), body: passwordChange(w.lastUser, "another Passphrase")}
			}),
			expect(404, "unknown account", func(w *testContext) call {
				s := w.signedSession(unknownID, "Client")
				return call{as: s, body: map[string]any{"currentPassword": "what it was", "newPassword": "another Passphrase"}}
			}, hasCode("user_not_found")).requiring(signingKeys),
			expect(422, "common password", func(w *testContext) call { return call{as: w.ann, body: passwordChange(w.ann, "password")} }, hasErrorsAt("body.newPassword")),
			expect(429, "too_many_attempts", func(w *testContext) call {
				s := w.newLastUser()
				wrong := call{as: s, body: map[string]any{"currentPassword": "not it at all", "newPassword": "another Passphrase"}}
				for range 5 {
					w.must("PUT /auth/password", 401, wrong)
				}
				return wrong
			}, hasCode("too_many_attempts")).requiring(ownAddress),
		),
	)
}

func userCases() []testCase {
	return slices.Concat(
		operation("GET /auth/me",
			expect(200, "client", func(w *testContext) call { return call{as: w.ann} }, hasField("role", "Client"), hasField("username", "ann"), noPassword),
			expect(200, "manager", func(w *testContext) call { return call{as: w.manager} }, hasField("role", "Manager")),
			expect(404, "unknown account", func(w *testContext) call { return call{as: w.signedSession(unknownID, "Client")} }, hasCode("user_not_found")).requiring(signingKeys),
		),
		operation("GET /auth/users",
			expect(200, "", func(w *testContext) call { return call{as: w.manager, query: "limit=1"} }, hasFields("items")),
		),
		operation("GET /auth/users/{id}",
			expect(200, "", func(w *testContext) call { return call{as: w.manager, args: []any{w.ann.id}} }, hasField("username", "ann"), noPassword),
			expect(404, "", func(w *testContext) call { return call{as: w.manager, args: []any{unknownID}} }, hasCode("user_not_found")),
		),
		operation("PATCH /auth/users/{id}",
			expect(200, "disable", func(w *testContext) call {
				id := w.register(newAccount("mallory"))
				return call{as: w.manager, args: []any{id}, body: map[string]any{"disabled": true}}
			}, hasField("disabled", "true")),
			expect(200, "enable", func(w *testContext) call {
				return call{as: w.manager, args: []any{w.disabledUser().id}, body: map[string]any{"disabled": false}}
			}, hasField("disabled", "false")),
			expect(404, "", func(w *testContext) call {
				return call{as: w.manager, args: []any{unknownID}, body: map[string]any{"disabled": true}}
			}, hasCode("user_not_found")),
			expect(409, "own account", func(w *testContext) call {
				s := w.newManager()
				return call{as: s, args: []any{s.id}, body: map[string]any{"disabled": true}}
			}, hasCode("own_account")),
			expect(403, "disabled manager", func(w *testContext) call {
				s := w.disabledManager()
				return call{as: s, args: []any{s.id}, body: map[string]any{"disabled": false}}
			}, hasCode("account_disabled")),
			expect(422, "not a boolean", func(w *testContext) call {
				return call{as: w.manager, args: []any{w.ann.id}, body: map[string]any{"disabled": "yes"}}
			}, hasErrorsAt("body.disabled")),
		),
	)
}

// unknownID is an ID that no object has.
const unknownID = int64(1) << 52

func passwordChange(s *session, next string) map[string]any {
	return map[string]any{"currentPassword": s.password, "newPassword": next}
}

// newLastUser returns a new user and stores it in lastUser, for the rest of the case.
func (w *testContext) newLastUser() *session {
	w.t.Helper()
	w.lastUser = w.newUser()
	return w.lastUser
}

// disabledUser returns a new user whose account was disabled after the login, and
// stores it in lastUser.
func (w *testContext) disabledUser() *session {
	w.t.Helper()
	s := w.newLastUser()
	w.setDisabled(s, true)
	return s
}

func (w *testContext) setDisabled(s *session, disabled bool) {
	w.t.Helper()
	w.must("PATCH /auth/users/{id}", http.StatusOK, call{as: w.manager, args: []any{s.id}, body: map[string]any{"disabled": disabled}})
}

// newManager registers a manager and logs in.
func (w *testContext) newManager() *session {
	w.t.Helper()
	a := newAccount("max")
	w.must("POST /auth/register/manager", http.StatusCreated, call{as: w.manager, body: a.registration()})
	return w.login(a)
}

// disabledManager returns a new manager whose account was disabled after the login.
func (w *testContext) disabledManager() *session {
	w.t.Helper()
	s := w.newManager()
	w.setDisabled(s, true)
	return s
}

func isSession(w *testContext, a *response) {
	w.t.Helper()
	hasField("tokenType", "Bearer")(w, a)
	hasFields("accessToken", "refreshToken", "expiresIn")(w, a)
	hasHeader("Cache-Control", "no-store")(w, a)
}

func noPassword(w *testContext, a *response) {
	w.t.Helper()
	if strings.Contains(strings.ToLower(string(a.body)), "password") {
		w.t.Errorf("the response contains a password: %s", a.body)
	}
}

func onlyPublicKeys(w *testContext, a *response) {
	w.t.Helper()
	var set struct{ Keys []map[string]any }
	a.into(w, &set)
	for _, key := range set.Keys {
		if key["kty"] == "oct" || key["k"] != nil || key["d"] != nil {
			w.t.Errorf("key %v is not a public key", key["kid"])
		}
	}
}

// otherClient is the header of a request from another client, which has no grace period for a
// refresh token.
var otherClient = []string{"User-Agent", "another browser"}
