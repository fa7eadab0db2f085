package httpapi_test

import (
	"strconv"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"ecommerce-stack.dev/services/auth/internal/password"
)

func TestOneMailboxIsOneAccount(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, forms := range [][]string{
		{"jos\u00e9@example.com", "jose\u0301@example.com"},
		{"ada@xn--bcher-kva.example", "ada@b\u00fccher.example", "ada@BU\u0308CHER.example"},
	} {
		a.register(forms[0])
		for _, email := range forms {
			a.expect(a.do("POST", "/auth/register/user", "", object("username", "B", "email", email, "password", validPassword)), 409, "email_taken")
			a.expect(a.tryLogin(email, validPassword), 200, "")
		}
	}
}

func TestEmailsFromBeforeAreNormalizedUnlessTaken(t *testing.T) {
	t.Parallel()
	a := start(t)
	const alone, first, second = "renee\u0301@example.com", "jos\u00e9@example.com", "jose\u0301@example.com"
	passwordOf := func(i int) string { return validPassword + strconv.Itoa(i) }
	for i, email := range []string{alone, first, second} {
		hash, err := bcrypt.GenerateFromPassword([]byte(passwordOf(i)), password.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		err = a.db.Exec("INSERT INTO users (id, username, email, password_hash, role, created_at) VALUES (?, 'x', ?, ?, 'Client', NOW(6))", 100+i, email, string(hash)).Error
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second run finds the same
		if n, err := a.accounts.NormalizeEmails(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d duplicates, %v; want 1", n, err)
		}
	}
	a.expect(a.tryLogin("rene\u00e9@example.com", passwordOf(0)), 200, "")
	// Nothing is merged: each account is logged in to as before.
	a.expect(a.tryLogin(first, passwordOf(1)), 200, "")
	a.expect(a.tryLogin(second, passwordOf(2)), 200, "")
	a.expect(a.tryLogin(first, passwordOf(2)), 401, "invalid_credentials")
}

func TestPasswordOfAnotherNormalizationFormIsTheSame(t *testing.T) {
	t.Parallel()
	a := start(t)
	const composed, decomposed = "Ma\u00f1ana-Tr0ub4dor", "Man\u0303ana-Tr0ub4dor"
	a.expect(a.do("POST", "/auth/register/user", "", object("username", "Ada", "email", "ada@example.com", "password", composed)), 201, "")
	a.expect(a.tryLogin("ada@example.com", decomposed), 200, "")

	old, err := bcrypt.GenerateFromPassword([]byte(decomposed), password.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.db.Exec("UPDATE users SET password_hash = ? WHERE email = 'ada@example.com'", string(old)).Error; err != nil {
		t.Fatal(err)
	}
	a.expect(a.tryLogin("ada@example.com", composed), 401, "invalid_credentials")
	a.expect(a.tryLogin("ada@example.com", decomposed), 200, "") // replaces the hash
	a.expect(a.tryLogin("ada@example.com", composed), 200, "")
}
