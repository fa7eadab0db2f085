// Package account holds who may use the store: users, their passwords, and the
// refresh tokens that keep them signed in. It knows no HTTP and no SQL.
package account

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
)

// User is an account. Email is in its normal form.
type User struct {
	ID           int64
	Username     string
	Email        string
	Role         authn.Role
	Disabled     bool
	CreatedAt    time.Time
	PasswordHash []byte
}

// Limits of a user's text: characters of a username, bytes of an email address (RFC
// 5321, section 4.5.3.1.3, less the angle brackets).
const (
	maxUsername = 100
	maxEmail    = 254
)

// The failures that callers decide by.
var (
	ErrEmailTaken         = failure.Conflict("email_taken", "An account with this email exists already.")
	ErrInvalidCredentials = failure.Unauthenticated("invalid_credentials", "Email or password is wrong.")
	ErrInvalidToken       = failure.Unauthenticated("invalid_refresh_token", "The refresh token is not valid. Log in again.")
	ErrDisabled           = failure.Forbidden("account_disabled", "This account is disabled. Ask a manager.")
	ErrNotFound           = failure.NotFound("user_not_found", "This user does not exist.")
	ErrOwnAccount         = failure.Conflict("own_account", "Managers cannot disable their own account.")
)

// NormalEmail is the form in which addresses are compared and kept: in lower case.
// Addresses that differ in case only are one account.
func NormalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Registration is what a new account is made of.
type Registration struct {
	Username string
	Email    string
	Password string
	Role     authn.Role
}

// check gives r with its email in normal form, or all the rules it breaks.
func (r Registration) check() (Registration, error) {
	r.Email = NormalEmail(r.Email)
	var broken []failure.Field
	for _, rule := range []struct{ field, reason string }{
		{"email", checkEmail(r.Email)},
		{"password", password.Check(r.Password)},
		{"username", checkUsername(r.Username)},
	} {
		if rule.reason != "" {
			broken = append(broken, failure.Field{Location: "body." + rule.field, Message: rule.reason})
		}
	}
	if len(broken) > 0 {
		return r, failure.InvalidFields(broken...)
	}
	return r, nil
}

func checkEmail(email string) string {
	if len(email) > maxEmail {
		return fmt.Sprintf("expected at most %d bytes", maxEmail)
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || strings.ContainsFunc(email, unprintable) {
		return "expected an email address such as ada@example.com"
	}
	return ""
}

func checkUsername(name string) string {
	switch n := utf8.RuneCountInString(name); {
	case n < 1 || n > maxUsername:
		return fmt.Sprintf("expected 1 to %d characters", maxUsername)
	case strings.TrimSpace(name) != name:
		return "expected no space at the beginning or the end"
	case strings.ContainsFunc(name, unprintable):
		return "expected printable characters only"
	}
	return ""
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
