// Package account implements the domain of the auth service: users, their passwords, and the
// refresh tokens of their sessions. It does not depend on HTTP or SQL.
package account

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/idna"

	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/text"
)

// User is an account. Email is in the form of NormalizeEmail.
type User struct {
	ID           int64
	Username     string
	Email        string
	Role         authn.Role
	Disabled     bool
	CreatedAt    time.Time
	PasswordHash []byte
	// Generation is that of the access tokens that are valid; see authn.Revocation.
	Generation int64
}

// Limits of a username, in characters, and of an email address, in bytes (RFC 5321, section
// 4.5.3.1.3, without the angle brackets).
const (
	maxUsernameLength = 100
	maxEmailLength    = 254
)

// Errors of the operations on accounts.
var (
	ErrEmailTaken          = failure.Conflict("email_taken", "An account with this email already exists. Log in, or use another email.")
	ErrInvalidCredentials  = failure.Unauthenticated("invalid_credentials", "The email or the password is wrong. Check both.")
	ErrInvalidRefreshToken = failure.Unauthenticated("invalid_refresh_token", "The refresh token is not valid. Log in again.")
	ErrAccountDisabled     = authn.ErrAccountDisabled
	ErrUserNotFound        = failure.NotFound("user_not_found", "User not found.")
	ErrOwnAccount          = failure.Conflict("own_account", "You cannot disable your own account. Ask another manager.")
	ErrLastManager         = failure.Conflict("last_manager", "You are the last enabled manager. Register or enable another one first.")
)

// TooManyAttempts returns the error of an attempt before the delay after failed ones has passed.
func TooManyAttempts(retryAfter time.Duration) error {
	return failure.TooMany("too_many_attempts", retryAfter,
		"Too many failed attempts. Wait for the seconds in Retry-After before the next one.")
}

// MayManage returns an error unless u may change accounts: ErrAccountDisabled for a disabled user,
// and one of failure.KindForbidden for a user who is not a Manager. The token of a user says what
// the user was when it was issued.
func (u User) MayManage() error {
	switch {
	case u.Role != authn.Manager:
		return authn.Forbidden([]authn.Role{authn.Manager})
	case u.Disabled:
		return ErrAccountDisabled
	}
	return nil
}

// NormalizeEmail returns the form in which addresses are compared and stored: in lower case and NFC,
// without surrounding space, and with the Unicode form of an internationalized domain (RFC 5890,
// section 2.3.2.1). Addresses that differ only in that belong to one account. A domain that is not
// valid is not changed.
func NormalizeEmail(email string) string {
	email = text.NFC(strings.ToLower(text.NFC(strings.TrimSpace(email))))
	at := strings.LastIndexByte(email, '@') + 1
	domain, err := unicodeDomain(email[at:])
	if err != nil {
		return email
	}
	return email[:at] + domain
}

// domains is the profile of domains that are looked up (RFC 5891, section 5), with the limits of the
// DNS.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))

// unicodeDomain returns the Unicode form of an internationalized domain, and any other one as it is.
func unicodeDomain(domain string) (string, error) {
	if !strings.Contains(domain, "xn--") && !strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }) {
		return domain, nil
	}
	ascii, err := domains.ToASCII(domain)
	if err != nil {
		return "", err
	}
	return domains.ToUnicode(ascii)
}

// typedEmail returns an address as releases before NormalizeEmail of an internationalized one stored
// it.
func typedEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Registration is the input of Service.Register.
type Registration struct {
	Username string
	Email    string
	Password string
	Role     authn.Role
	// ManagerID is the manager who creates the account; 0 if a user creates their own.
	ManagerID int64
	// Key is the idempotency key, if any.
	Key string
}

// request returns the idempotency.Request of a valid registration. The password is not a part of
// it, because its hash would be weak. The keys of users who create their own account are
// independent if their emails differ.
func (r Registration) request() (idempotency.Request, error) {
	key := r.Key
	if key != "" && r.ManagerID == 0 {
		key += "\n" + r.Email
	}
	return idempotency.Header{Key: key}.Request(r.ManagerID, "register", []string{string(r.Role), r.Username, r.Email})
}

// validate returns r with its text normalized, or an error of failure.KindInvalid that names
// every invalid field.
func (r Registration) validate() (Registration, error) {
	r.Email = NormalizeEmail(r.Email)
	var username string
	r.Username, username = text.Line(r.Username, maxUsernameLength)
	var invalid []failure.Field
	for _, f := range []struct{ name, violation string }{
		{"email", checkEmail(r.Email)},
		{"password", password.Check(r.Password)},
		{"username", username},
	} {
		if f.violation != "" {
			invalid = append(invalid, failure.Field{Location: "body." + f.name, Message: f.violation})
		}
	}
	if len(invalid) > 0 {
		return r, failure.InvalidFields(invalid...)
	}
	return r, nil
}

// checkEmail returns the rule that an email address violates, or "".
func checkEmail(email string) string {
	if len(email) > maxEmailLength {
		return fmt.Sprintf("expected at most %d bytes", maxEmailLength)
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || strings.ContainsFunc(email, isUnprintable) {
		return "expected an email address such as ada@example.com"
	}
	if _, err := unicodeDomain(email[strings.LastIndexByte(email, '@')+1:]); err != nil {
		return "expected an email address with a valid domain"
	}
	return ""
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }
