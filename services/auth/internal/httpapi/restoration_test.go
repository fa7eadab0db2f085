package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
)

func TestManagerIsRestoredOnceForEachRequest(t *testing.T) {
	t.Parallel()
	a := start(t)
	const newPassword = "staple battery horse"
	restore := func(request string) {
		t.Helper()
		if err := a.accounts.RestoreManager(t.Context(), managerEmail, newPassword, request); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(statement string) {
		t.Helper()
		if err := a.db.Exec(statement+" WHERE email = ?", managerEmail).Error; err != nil {
			t.Fatal(err)
		}
	}
	lost := a.login(managerEmail, validPassword)
	for number, damage := range []string{
		"UPDATE users SET disabled = TRUE",
		"UPDATE users SET role = 'Client'",
		"UPDATE users SET password_hash = 'x'",
		"UPDATE users SET disabled = TRUE, role = 'Client', password_hash = 'x'",
	} {
		request := fmt.Sprint("request ", number)
		exec(damage)
		restore(request)
		restored := "Bearer " + a.login(managerEmail, newPassword).access
		a.expect(a.do("POST", "/auth/register/manager", restored,
			object("username", "Other", "email", fmt.Sprintf("other%d@example.com", number), "password", validPassword)), 201, "")

		// A replica that starts again changes nothing.
		exec(damage)
		restore(request)
		if got := a.tryLogin(managerEmail, newPassword); got.status != loginAfter(damage) {
			t.Errorf("a login after the same request and %q: %d, want %d", damage, got.status, loginAfter(damage))
		}
		if damage == "UPDATE users SET role = 'Client'" {
			a.expect(a.do("GET", "/auth/users", "Bearer "+a.login(managerEmail, newPassword).access, ""), 403, "forbidden")
		}
	}
	a.expect(a.refresh(lost.refresh), 401, "invalid_refresh_token")
	revoked, err := a.accounts.Store.Revocations(t.Context(), time.Minute)
	if err != nil || len(revoked) != 1 || revoked[0].Generation != 4 {
		t.Errorf("revocations %v, %v, want the tokens of before each restoration to be revoked", revoked, err)
	}
}

// loginAfter returns the status of a login after damage to the account.
func loginAfter(damage string) int {
	switch damage {
	case "UPDATE users SET disabled = TRUE":
		return 403
	case "UPDATE users SET role = 'Client'":
		return 200
	}
	return 401
}

func TestRestorationCreatesMissingManager(t *testing.T) {
	t.Parallel()
	a := start(t)
	if err := a.accounts.RestoreManager(t.Context(), "new@example.com", validPassword, "r"); err != nil {
		t.Fatal(err)
	}
	u, err := a.accounts.Store.ByEmail(t.Context(), "new@example.com")
	if err != nil || u.Role != authn.Manager || u.Disabled {
		t.Errorf("got %+v, %v, want an enabled Manager", u, err)
	}
	err = a.accounts.RestoreManager(t.Context(), managerEmail, "short", "s")
	if failure.KindOf(err) != failure.KindInvalid {
		t.Errorf("a password that is too short: %v, want an error of KindInvalid", err)
	}
	a.login(managerEmail, validPassword) // It is not changed.
}
