package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/idempotency"
)

// Store stores accounts. Every method is one transaction. Methods that change the tokens or the
// password of a user lock the user first. Besides the errors that it names, each method returns
// those of the database: of failure.KindUnavailable if it may succeed later.
type Store interface {
	// Create adds a user and returns it with its ID. It returns ErrEmailTaken if another user
	// has the email. Unless managerID is 0, it locks that user and returns the errors of
	// User.MayManage. It stores the result for Created, unless r has no key.
	Create(ctx context.Context, u User, managerID int64, r idempotency.Request) (User, error)
	// Created returns the user as Create returned it for r, if it did. It returns
	// idempotency.ErrKeyReused.
	Created(ctx context.Context, r idempotency.Request) (u User, found bool, err error)
	// ByID and ByEmail return a user, or ErrUserNotFound. The email is normalized.
	ByID(ctx context.Context, id int64) (User, error)
	ByEmail(ctx context.Context, email string) (User, error)
	// InternationalEmails returns up to limit users whose id is above after, in the order of their
	// ids, whose email is not ASCII or has an internationalized domain.
	InternationalEmails(ctx context.Context, after int64, limit int) ([]User, error)
	// SetEmail replaces an email. It changes nothing if the email is not previous, and returns
	// ErrEmailTaken if another user has the new one.
	SetEmail(ctx context.Context, id int64, previous, email string) error
	// List returns up to limit users whose id is above after, in the order of their ids.
	List(ctx context.Context, after int64, limit int) ([]User, error)
	// SetDisabled changes and returns a user for a manager, whose row it locks, too. Disabling also
	// revokes the tokens of the user. It returns the errors of User.MayManage for the
	// manager, ErrUserNotFound, and, if managers disable themselves, ErrLastManager or ErrOwnAccount.
	// Because the manager stays enabled, one manager always is.
	SetDisabled(ctx context.Context, managerID, id int64, disabled bool) (User, error)
	// Revocations returns the revocations of access tokens within ttl, the newest first, and at most
	// authn.MaxRevocations.
	Revocations(ctx context.Context, ttl time.Duration) ([]authn.Revocation, error)
	// IsRestored reports whether RestoreManager has fulfilled a request.
	IsRestored(ctx context.Context, request string) (bool, error)
	// RestoreManager enables a user as a Manager with the hash of a password, revokes the tokens, and
	// records the request. It changes nothing and returns false if the request is recorded. It returns
	// ErrUserNotFound.
	RestoreManager(ctx context.Context, id int64, hash []byte, request string) (restored bool, err error)
	// SetPassword replaces the hash of a password and revokes the refresh tokens of the user. It
	// returns ErrAccountDisabled, ErrInvalidCredentials if the hash is not previous, and
	// ErrUserNotFound.
	SetPassword(ctx context.Context, id int64, previous, hash []byte) error
	// Rehash replaces the hash of a password by another one of the same password. It changes
	// nothing if the hash is not previous.
	Rehash(ctx context.Context, id int64, previous, hash []byte) error

	// Attempts returns a count, which is zero if there were no failures.
	Attempts(ctx context.Context, c Counter) (Attempts, error)
	// AddFailure adds one failure to each counter.
	AddFailure(ctx context.Context, counters []Counter, now time.Time) error
	// ResetAttempts sets a count to zero.
	ResetAttempts(ctx context.Context, c Counter) error

	// AddRefreshToken adds the first token of a family. It returns ErrInvalidCredentials if the
	// user has been disabled or has another password than u, and ErrUserNotFound.
	AddRefreshToken(ctx context.Context, u User, t RefreshToken) error
	// Rotate carries out the RefreshAction for the token with the given hash and a use, and returns
	// the user and the salt of the next token. If the action is RotateToken, it adds next, and if it
	// is RepeatToken, the salt is that of the first use. Else it returns ErrInvalidRefreshToken.
	Rotate(ctx context.Context, hash []byte, next RefreshToken, use Use, grace time.Duration) (User, []byte, error)
	// RevokeFamily deletes the tokens of the family of the token with the given hash, if it exists.
	RevokeFamily(ctx context.Context, hash []byte) error
	// DeleteExpired deletes the tokens that have expired and the counts that have no effect.
	DeleteExpired(ctx context.Context, now time.Time) error
}

// DeviceTTL is how long a device cookie is valid after the last login with it.
const DeviceTTL = 180 * 24 * time.Hour

// Signer signs access tokens and device cookies.
type Signer interface {
	// Sign returns an access token for a user, and the time until it expires. The error is
	// that of a key that cannot sign.
	Sign(u User, now time.Time) (token string, ttl time.Duration, err error)
	// SignDeviceCookie returns a cookie for a device from which the account with this normalized
	// email was logged in to.
	SignDeviceCookie(email string, device uuid.UUID, now time.Time) string
	// VerifyDeviceCookie reports whether cookie is a result of SignDeviceCookie for this email
	// that is not older than DeviceTTL, and returns its device.
	VerifyDeviceCookie(cookie, email string, now time.Time) (device uuid.UUID, ok bool)
}

// LoginRequest is the input of Service.Login.
type LoginRequest struct {
	Email    string
	Password string
	// Client is the address of the client.
	Client netip.Addr
	// DeviceCookie is the Session.DeviceCookie of an earlier login, or empty.
	DeviceCookie string
}

// Session is the result of a login or a refresh.
type Session struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
	// DeviceCookie is empty for a refresh.
	DeviceCookie string
}

// Service implements the operations on accounts.
type Service struct {
	Store      Store
	Signer     Signer
	Hasher     *password.Hasher
	RefreshTTL time.Duration
	// RefreshGrace is the time in which the client that has used a refresh token may use it again,
	// with the same result; 0 is none.
	RefreshGrace time.Duration
	Log          *slog.Logger
	// Now returns the current time.
	Now func() time.Time
}

// Register creates an account, or returns that of the first request with the key of r, and true. It
// returns an error of failure.KindInvalid for invalid fields, ErrEmailTaken,
// idempotency.ErrKeyReused, and the errors of User.MayManage for the manager who creates it.
func (s *Service) Register(ctx context.Context, r Registration) (u User, replayed bool, err error) {
	if r, err = r.validate(); err != nil {
		return User{}, false, err
	}
	if r.ManagerID != 0 {
		if err := s.checkManager(ctx, r.ManagerID); err != nil {
			return User{}, false, err
		}
	}
	request, err := r.request()
	if err != nil {
		return User{}, false, err
	}
	if u, replayed, err = s.registered(ctx, r, request); replayed || err != nil {
		return u, replayed, err
	}
	u, err = s.create(ctx, r, request)
	if errors.Is(err, ErrEmailTaken) && !request.IsZero() {
		// A concurrent request with the key may have created it.
		if first, replayed, again := s.registered(ctx, r, request); replayed || again != nil {
			return first, replayed, again
		}
	}
	return u, false, err
}

// registered returns the user that an earlier request created, if there was one.
func (s *Service) registered(ctx context.Context, r Registration, request idempotency.Request) (User, bool, error) {
	if request.IsZero() {
		return User{}, false, nil
	}
	u, found, err := s.Store.Created(ctx, request)
	if err != nil || !found {
		return User{}, false, err
	}
	current, err := s.Store.ByID(ctx, u.ID)
	if err != nil {
		return User{}, false, fmt.Errorf("register: %w", err)
	}
	slot, err := s.Hasher.Acquire(ctx)
	if err != nil {
		return User{}, false, err
	}
	defer slot.Release()
	if !slot.Matches(current.PasswordHash, r.Password) {
		return User{}, false, idempotency.ErrKeyReused // The stored request has no password.
	}
	return u, true, nil
}

// create creates an account with valid fields.
func (s *Service) create(ctx context.Context, r Registration, request idempotency.Request) (User, error) {
	// This only avoids the cost of a hash; the unique key decides.
	if _, err := s.Store.ByEmail(ctx, r.Email); err == nil {
		return User{}, ErrEmailTaken
	} else if !errors.Is(err, ErrUserNotFound) {
		return User{}, fmt.Errorf("register: %w", err)
	}
	hash, err := s.hash(ctx, r.Password)
	if err != nil {
		return User{}, err
	}
	u, err := s.Store.Create(ctx, User{
		Username: r.Username, Email: r.Email, Role: r.Role, CreatedAt: s.Now(), PasswordHash: hash,
	}, r.ManagerID, request)
	if err != nil {
		return User{}, fmt.Errorf("register: %w", err)
	}
	s.Log.InfoContext(ctx, "account created", "userId", u.ID, "role", u.Role)
	return u, nil
}

// checkManager returns the errors of User.MayManage, to avoid the cost of a hash and to reveal no
// emails. Store.Create decides.
func (s *Service) checkManager(ctx context.Context, id int64) error {
	u, err := s.Store.ByID(ctx, id)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return fmt.Errorf("register: %w", err)
	}
	return u.MayManage()
}

func (s *Service) hash(ctx context.Context, text string) ([]byte, error) {
	slot, err := s.Hasher.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer slot.Release()
	return slot.Hash(text)
}

// EnsureManager creates a Manager unless an account has the email. It does not change an existing
// account. It returns an error of failure.KindInvalid for an invalid email or password.
func (s *Service) EnsureManager(ctx context.Context, email, text string) error {
	_, _, err := s.Register(ctx, Registration{Username: "manager", Email: email, Password: text, Role: authn.Manager})
	if !errors.Is(err, ErrEmailTaken) {
		return err
	}
	u, err := s.Store.ByEmail(ctx, NormalizeEmail(email))
	if err == nil && u.Role != authn.Manager {
		s.Log.WarnContext(ctx, "the account with the email of MANAGER_EMAIL is not a Manager", "userId", u.ID)
	}
	return err
}

// Login returns a session for an email and its password. It returns ErrInvalidCredentials, after
// the same work for an unknown email as for a wrong password, ErrAccountDisabled, and an error of
// failure.KindTooMany while attempts are delayed.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Session, error) {
	email := NormalizeEmail(r.Email)
	counters := loginCounters(email, r.Client)
	device, known := s.Signer.VerifyDeviceCookie(r.DeviceCookie, email, s.Now())
	if known {
		counters = deviceCounters(email, device)
	} else {
		device = uuid.New()
	}
	u, err := s.authenticate(ctx, func() (User, error) { return s.byEmail(ctx, typedEmail(r.Email), email) }, r.Password, counters)
	if err != nil {
		return Session{}, err
	}
	refresh, hash := newRefreshToken()
	token := RefreshToken{Hash: hash, Family: uuid.New(), UserID: u.ID, ExpiresAt: s.Now().Add(s.RefreshTTL)}
	if err := s.Store.AddRefreshToken(ctx, u, token); err != nil {
		return Session{}, fmt.Errorf("log in: %w", err)
	}
	session, err := s.newSession(u, refresh)
	session.DeviceCookie = s.Signer.SignDeviceCookie(email, device, s.Now())
	return session, err
}

// authenticate returns the user that find finds, if it has the password, unless one of the counters
// delays the attempt. A success resets the first counter, which is that of the client. The counts
// are read and written while a slot of the Hasher is held, so that of a burst of attempts no more
// than there are slots pass the check at once.
func (s *Service) authenticate(ctx context.Context, find func() (User, error), text string, counters []Counter) (User, error) {
	slot, err := s.Hasher.Acquire(ctx)
	if err != nil {
		return User{}, err
	}
	defer slot.Release()
	client, err := s.checkCounters(ctx, counters)
	if err != nil {
		return User{}, err
	}
	u, err := find()
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return User{}, fmt.Errorf("log in: %w", err)
	}
	if !slot.Matches(u.PasswordHash, text) {
		if err := s.Store.AddFailure(ctx, counters, s.Now()); err != nil {
			return User{}, fmt.Errorf("log in: %w", err)
		}
		return User{}, ErrInvalidCredentials
	}
	if client.Failures > 0 {
		if err := s.Store.ResetAttempts(ctx, counters[0]); err != nil {
			return User{}, fmt.Errorf("log in: %w", err)
		}
	}
	if u.Disabled {
		return User{}, ErrAccountDisabled // not before the password is verified, to reveal it to the owner only
	}
	return s.rehash(ctx, slot, u, text), nil
}

// checkCounters returns the count of the first counter, or an error of failure.KindTooMany while
// one of the counters delays attempts.
func (s *Service) checkCounters(ctx context.Context, counters []Counter) (Attempts, error) {
	var first Attempts
	var delay time.Duration
	for i, c := range counters {
		a, err := s.Store.Attempts(ctx, c)
		if err != nil {
			return Attempts{}, fmt.Errorf("log in: %w", err)
		}
		if i == 0 {
			first = a
		}
		delay = max(delay, a.Delay(s.Now()))
	}
	if delay > 0 {
		return Attempts{}, TooManyAttempts(delay)
	}
	return first, nil
}

// rehash replaces the hash of a user's password if its cost is not the configured one or it is not
// of the password in NFC, because only a login has the password. Until then, logins of the user take
// a different time than those of unknown emails. A failure is logged, and the next login tries again.
func (s *Service) rehash(ctx context.Context, slot password.Slot, u User, text string) User {
	if slot.IsCurrent(u.PasswordHash, text) {
		return u
	}
	hash, err := slot.Hash(text)
	if err == nil {
		err = s.Store.Rehash(ctx, u.ID, u.PasswordHash, hash)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "rehashing a password failed", "userId", u.ID, "error", err)
		return u
	}
	u.PasswordHash = hash
	return u
}

func (s *Service) newSession(u User, refresh string) (Session, error) {
	access, ttl, err := s.Signer.Sign(u, s.Now())
	if err != nil {
		return Session{}, fmt.Errorf("log in: %w", err)
	}
	return Session{AccessToken: access, ExpiresIn: ttl, RefreshToken: refresh}, nil
}

// Refresh exchanges a refresh token for a session. Each token is valid once; its reuse revokes its
// family, unless the same client, a ClientID, reuses it within RefreshGrace: that gets the same
// refresh token. It returns ErrInvalidRefreshToken.
func (s *Service) Refresh(ctx context.Context, refresh string, client []byte) (Session, error) {
	use := Use{At: s.Now(), Client: client, Salt: newSalt()}
	_, hash := successor(refresh, use.Salt)
	next := RefreshToken{Hash: hash, ExpiresAt: use.At.Add(s.RefreshTTL)}
	u, salt, err := s.Store.Rotate(ctx, hashRefreshToken(refresh), next, use, s.RefreshGrace)
	if err != nil {
		return Session{}, fmt.Errorf("refresh: %w", err)
	}
	text, _ := successor(refresh, salt)
	return s.newSession(u, text)
}

// Logout revokes the family of a refresh token. An unknown token is not an error (RFC 7009, section
// 2.2).
func (s *Service) Logout(ctx context.Context, refresh string) error {
	return s.Store.RevokeFamily(ctx, hashRefreshToken(refresh))
}

// ChangePassword replaces a password and revokes all refresh tokens of the user. Wrong current
// passwords delay the next changes of this user, but not logins. It returns an error of
// failure.KindInvalid for an invalid new password, ErrUserNotFound, and the errors of Login.
func (s *Service) ChangePassword(ctx context.Context, userID int64, current, next string) error {
	if violation := password.Check(next); violation != "" {
		return failure.Invalid("body.newPassword", "%s", violation)
	}
	find := func() (User, error) { return s.Store.ByID(ctx, userID) }
	if _, err := find(); err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	u, err := s.authenticate(ctx, find, current, passwordChangeCounters(userID))
	if err != nil {
		return err
	}
	hash, err := s.hash(ctx, next)
	if err != nil {
		return err
	}
	if err := s.Store.SetPassword(ctx, u.ID, u.PasswordHash, hash); err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	s.Log.InfoContext(ctx, "password changed", "userId", u.ID)
	return nil
}

// SetDisabled disables or enables an account for a manager. A disabled user cannot log in or
// refresh, and an existing access token is valid only for reads until it expires. It returns the errors of Store.SetDisabled.
func (s *Service) SetDisabled(ctx context.Context, managerID, userID int64, disabled bool) (User, error) {
	u, err := s.Store.SetDisabled(ctx, managerID, userID, disabled)
	if err != nil {
		return User{}, fmt.Errorf("change user %d: %w", userID, err)
	}
	s.Log.InfoContext(ctx, "account changed", "userId", u.ID, "disabled", disabled, "managerId", managerID)
	return u, nil
}
