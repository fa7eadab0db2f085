package contract

import (
	"crypto/rand"
	"net/http"
)

// account is the account of a user.
type account struct{ name, email, password string }

func newAccount(name string) account {
	return account{name: name, email: name + "-" + unique() + "@example.com", password: rand.Text()}
}

func (a account) registration() map[string]any {
	return map[string]any{"username": a.name, "email": a.email, "password": a.password}
}

func (a account) credentials() map[string]any {
	return map[string]any{"email": a.email, "password": a.password}
}

// session is a user with tokens.
type session struct {
	account
	id              int64
	access, refresh string
}

func (s *session) refreshRequest() map[string]any { return map[string]any{"refreshToken": s.refresh} }

// register creates an account with the role client and returns its ID.
func (w *testContext) register(a account) int64 {
	w.t.Helper()
	var created struct{ ID int64 }
	w.must("POST /auth/register/user", http.StatusCreated, call{body: a.registration()}).into(w, &created)
	return created.ID
}

// login logs in and returns the session.
func (w *testContext) login(a account) *session {
	w.t.Helper()
	s := &session{account: a}
	w.storeTokens(s, w.must("POST /auth/login", http.StatusOK, call{body: a.credentials()}))
	var me struct{ ID int64 }
	w.must("GET /auth/me", http.StatusOK, call{as: s}).into(w, &me)
	s.id = me.ID
	return s
}

// storeTokens stores the tokens of a response in a session.
func (w *testContext) storeTokens(s *session, a *response) {
	w.t.Helper()
	var tokens struct{ AccessToken, RefreshToken string }
	a.into(w, &tokens)
	s.access, s.refresh = tokens.AccessToken, tokens.RefreshToken
}

// newUser registers a client and logs in.
func (w *testContext) newUser() *session {
	w.t.Helper()
	a := newAccount("new")
	w.register(a)
	return w.login(a)
}
