package contract

import (
	"crypto/rand"
	"net/http"
)

// account of a user of the store.
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

// session of somebody who logged in.
type session struct {
	account
	id              int64
	access, refresh string
}

func (s *session) refreshing() map[string]any { return map[string]any{"refreshToken": s.refresh} }

// register makes a client's account.
func (w *world) register(a account) int64 {
	w.t.Helper()
	var made struct{ ID int64 }
	w.must("POST /auth/register/user", http.StatusCreated, call{body: a.registration()}).into(w, &made)
	return made.ID
}

// login begins a session.
func (w *world) login(a account) *session {
	w.t.Helper()
	s := &session{account: a}
	w.keep(s, w.must("POST /auth/login", http.StatusOK, call{body: a.credentials()}))
	var me struct{ ID int64 }
	w.must("GET /auth/me", http.StatusOK, call{as: s}).into(w, &me)
	s.id = me.ID
	return s
}

// keep takes the tokens of an answer into a session.
func (w *world) keep(s *session, a *answer) {
	w.t.Helper()
	var tokens struct{ AccessToken, RefreshToken string }
	a.into(w, &tokens)
	s.access, s.refresh = tokens.AccessToken, tokens.RefreshToken
}

// newcomer is a client who nobody else uses.
func (w *world) newcomer() *session {
	w.t.Helper()
	a := newAccount("newcomer")
	w.register(a)
	return w.login(a)
}
