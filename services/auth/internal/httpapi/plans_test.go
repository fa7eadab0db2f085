package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/page"
)

// inserts fill the tables as those of a service that has run for a long time: some tokens and
// counts have expired, and each user has several sessions. Ids are given where other rows have them,
// because those of a cluster have gaps.
var inserts = []string{
	`INSERT INTO users (id, username, email, password_hash, role, created_at)
		SELECT 10 + n, 'Ada', CONCAT('ada', n, '@example.org'), REPEAT('x', 60), 'Client', NOW(6) FROM numbers`,
	`INSERT INTO refresh_tokens (hash, family, user_id, expires_at, used)
		SELECT UNHEX(SHA2(n, 256)), UNHEX(LEFT(SHA2(n DIV 3, 256), 32)), 11 + n DIV 5, NOW(6) + INTERVAL IF(n % 100 = 0, -1, 720) HOUR, n % 3 > 0 FROM numbers`,
	`INSERT INTO login_attempts (email_hash, failures, last_failure_at, blocked_until)
		SELECT UNHEX(SHA2(n, 256)), 3, NOW(6) - INTERVAL IF(n % 100 = 0, 2, 0) HOUR, NOW(6) FROM numbers`,
	`INSERT INTO manager_restorations (request, user_id, restored_at) SELECT n, 1, NOW(6) FROM numbers`,
	`INSERT INTO requests (caller_id, key_hash, body_hash, response, created_at)
		SELECT n % 10, UNHEX(SHA2(n, 256)), UNHEX(SHA2(n, 256)), '{}', NOW(6) - INTERVAL IF(n % 100 = 0, 25, 0) HOUR FROM numbers`,
}

func TestStatementsDoNotScanGrowingTables(t *testing.T) {
	t.Parallel()
	a := start(t)
	recorder := databasetest.Record(t, a.db, inserts...)
	recorded := httptest.NewServer(recorder.Handler(t, a.handler))
	t.Cleanup(recorded.Close)
	a.url = recorded.URL
	a.useSessions()
	a.administer()
	recorder.Run(t, "rehash", func() error { return a.accounts.Store.Rehash(t.Context(), 1, []byte("x"), []byte("y")) })
	recorder.Run(t, "revocations", func() error { _, err := a.accounts.Store.Revocations(t.Context(), time.Minute); return err })
	recorder.Run(t, "restore the manager", func() error {
		return a.accounts.RestoreManager(t.Context(), managerEmail, validPassword, "request")
	})
	recorder.Run(t, "delete expired", func() error { return a.accounts.Store.DeleteExpired(t.Context(), a.clock.Now()) })
	recorder.Check(t, []string{"get-keys"})
}

// useSessions sends the requests of a client, with and without errors.
func (a *auth) useSessions() {
	a.t.Helper()
	const email, newPassword = "grace@example.com", "staple battery horse"
	client := a.clientToken(a.register(email))
	a.expect(a.tryLogin(email, "wrong horse"), 401, "invalid_credentials")
	s := a.login(email, validPassword)
	next := sessionOf(a.expect(a.refresh(s.refresh), 200, ""))
	a.expect(a.refresh(s.refresh), 401, "invalid_refresh_token")
	a.expect(a.refresh(next.refresh), 401, "invalid_refresh_token")
	a.expect(a.do("POST", "/auth/logout", "", object("refreshToken", a.login(email, validPassword).refresh)), 204, "")
	a.expect(a.do("PUT", "/auth/password", client, object("currentPassword", validPassword, "newPassword", newPassword)), 204, "")
	a.expect(a.do("GET", "/auth/me", client, ""), 200, "")
	a.expect(a.do("GET", "/.well-known/jwks.json", "", ""), 200, "")
}

// administer sends the requests of a manager.
func (a *auth) administer() {
	a.t.Helper()
	for range 2 {
		a.expect(a.do("POST", "/auth/register/manager", a.manager,
			object("username", "Boss", "email", "other@example.com", "password", validPassword), "Idempotency-Key", "k"), 201, "")
	}
	me := a.expect(a.do("GET", "/auth/me", a.manager, ""), 200, "")
	a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%.0f", me.body["id"]), a.manager, `{"disabled":true}`), 409, "own_account")
	id := a.register("rowdy@example.com")
	a.expect(a.do("GET", fmt.Sprintf("/auth/users/%d", id), a.manager, ""), 200, "")
	a.expect(a.do("PATCH", fmt.Sprintf("/auth/users/%d", id), a.manager, `{"disabled":true}`), 200, "")
	middle, err := page.Encode("users:id", databasetest.Rows/2)
	if err != nil {
		a.t.Fatal(err)
	}
	a.expect(a.do("GET", "/auth/users", a.manager, ""), 200, "")
	a.expect(a.do("GET", "/auth/users?limit=200&cursor="+middle, a.manager, ""), 200, "")
}
