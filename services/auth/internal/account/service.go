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
)

// Store keeps accounts. Every method is one transaction; those that touch a user's
// tokens or password lock the user first, so that they take turns.
type Store interface {
	// Create adds a user, or fails with ErrEmailTaken.
	Create(ctx context.Context, u User) (User, error)
	// ByID and ByEmail fail with ErrNotFound. The email is in normal form.
	ByID(ctx context.Context, id int64) (User, error)
	ByEmail(ctx context.Context, email string) (User, error)
	// List gives up to limit users whose id is above after, in order of id.
	List(ctx context.Context, after int64, limit int) ([]User, error)
	// SetDisabled also ends the user's refresh tokens when it disables.
	SetDisabled(ctx context.Context, id int64, disabled bool) (User, error)
	// SetPassword replaces the hash that was seen and ends the user's refresh tokens. It
	// fails with ErrInvalidCredentials when the hash is another one by now.
	SetPassword(ctx context.Context, id int64, seen, hash []byte) error
	// Rehash replaces the hash that was seen by another of the same password. Where the
	// hash is another one by now, it changes nothing.
	Rehash(ctx context.Context, id int64, seen, hash []byte) error

	// Attempts returns a count, Fail adds one failure to each, and Forget resets one.
	Attempts(ctx context.Context, c Counter) (Attempts, error)
	Fail(ctx context.Context, counters []Counter, now time.Time) error
	Forget(ctx context.Context, c Counter) error

	// AddToken begins a family, unless the user was disabled or got another password
	// since it was seen: ErrInvalidCredentials.
	AddToken(ctx context.Context, seen User, t RefreshToken) error
	// Rotate does what Judge says of the token with the given hash; next takes the place
	// of a rotated one. It fails with ErrInvalidToken unless it rotated.
	Rotate(ctx context.Context, hash []byte, next RefreshToken, now time.Time) (User, error)
	// EndFamily ends the family of the token with the given hash, if there is one.
	EndFamily(ctx context.Context, hash []byte) error
	// Sweep deletes what has no effect any more.
	Sweep(ctx context.Context, now time.Time) error
}

// DeviceTTL is how long a device cookie is valid after the last login with it.
const DeviceTTL = 180 * 24 * time.Hour

// Signer makes access tokens and device cookies.
type Signer interface {
	Sign(u User, now time.Time) (token string, validFor time.Duration, err error)
	// SignDevice returns a cookie that names a device from which the account with this
	// email, in normal form, was logged in to.
	SignDevice(email string, device uuid.UUID, now time.Time) string
	// Device reports whether cookie is one of SignDevice for this email, not older than
	// DeviceTTL, and returns its device.
	Device(cookie, email string, now time.Time) (device uuid.UUID, known bool)
}

// LoginRequest is what a client sends to log in.
type LoginRequest struct {
	Email    string
	Password string
	// Client is the address of the client.
	Client netip.Addr
	// DeviceCookie is Session.DeviceCookie of an earlier login, if the client has one.
	DeviceCookie string
}

// Session is what a login gives.
type Session struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
	// DeviceCookie is empty unless the session is of a login.
	DeviceCookie string
}

// Service is the operations on accounts.
type Service struct {
	Store      Store
	Signer     Signer
	Hasher     *password.Hasher
	RefreshTTL time.Duration
	Log        *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Register makes an account.
func (s *Service) Register(ctx context.Context, r Registration) (User, error) {
	r, err := r.check()
	if err != nil {
		return User{}, err
	}
	// The look before the hash spares the hash; the unique key decides.
	if _, err := s.Store.ByEmail(ctx, r.Email); err == nil {
		return User{}, ErrEmailTaken
	} else if !errors.Is(err, ErrNotFound) {
		return User{}, fmt.Errorf("register: %w", err)
	}
	hash, err := s.hash(ctx, r.Password)
	if err != nil {
		return User{}, err
	}
	u, err := s.Store.Create(ctx, User{
		Username: r.Username, Email: r.Email, Role: r.Role, CreatedAt: s.Now(), PasswordHash: hash,
	})
	if err != nil {
		return User{}, fmt.Errorf("register: %w", err)
	}
	s.Log.InfoContext(ctx, "account made", "user", u.ID, "role", u.Role)
	return u, nil
}

func (s *Service) hash(ctx context.Context, text string) ([]byte, error) {
	slot, err := s.Hasher.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer slot.Release()
	return slot.Hash(text)
}

// EnsureManager makes the first Manager when no account has the email. An account
// that has it stays as it is.
func (s *Service) EnsureManager(ctx context.Context, email, text string) error {
	_, err := s.Register(ctx, Registration{Username: "manager", Email: email, Password: text, Role: authn.Manager})
	if !errors.Is(err, ErrEmailTaken) {
		return err
	}
	u, err := s.Store.ByEmail(ctx, NormalEmail(email))
	if err == nil && u.Role != authn.Manager {
		s.Log.WarnContext(ctx, "the account of MANAGER_EMAIL is not a Manager's", "user", u.ID)
	}
	return err
}

// Login returns a session for an email and its password. An unknown email and a wrong
// password get the same response after the same work.
func (s *Service) Login(ctx context.Context, r LoginRequest) (Session, error) {
	email := NormalEmail(r.Email)
	counters := loginCounters(email, r.Client)
	device, known := s.Signer.Device(r.DeviceCookie, email, s.Now())
	if known {
		counters = deviceCounters(email, device)
	} else {
		device = uuid.New()
	}
	u, err := s.authenticate(ctx, email, r.Password, counters)
	if err != nil {
		return Session{}, err
	}
	refresh, hash := newSecret()
	token := RefreshToken{Hash: hash, Family: uuid.New(), UserID: u.ID, ExpiresAt: s.Now().Add(s.RefreshTTL)}
	if err := s.Store.AddToken(ctx, u, token); err != nil {
		return Session{}, fmt.Errorf("log in: %w", err)
	}
	session, err := s.session(u, refresh)
	session.DeviceCookie = s.Signer.SignDevice(email, device, s.Now())
	return session, err
}

// authenticate returns the user of an email, in normal form, and password, unless one
// of the counters delays it. The first counter is the client's own: a success resets it.
// The counts are read and written while a slot to hash is held, so that a burst of
// attempts passes the check no more often than there are slots.
func (s *Service) authenticate(ctx context.Context, email, text string, counters []Counter) (User, error) {
	slot, err := s.Hasher.Acquire(ctx)
	if err != nil {
		return User{}, err
	}
	defer slot.Release()
	own, err := s.checkCounters(ctx, counters)
	if err != nil {
		return User{}, err
	}
	u, err := s.Store.ByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, fmt.Errorf("log in: %w", err)
	}
	if !slot.Matches(u.PasswordHash, text) {
		if err := s.Store.Fail(ctx, counters, s.Now()); err != nil {
			return User{}, fmt.Errorf("log in: %w", err)
		}
		return User{}, ErrInvalidCredentials
	}
	if own.Failures > 0 {
		if err := s.Store.Forget(ctx, counters[0]); err != nil {
			return User{}, fmt.Errorf("log in: %w", err)
		}
	}
	if u.Disabled {
		return User{}, ErrDisabled // only who knows the password learns it
	}
	return s.rehash(ctx, slot, u, text), nil
}

// checkCounters fails while one of the counters delays attempts, and returns the count
// of the first.
func (s *Service) checkCounters(ctx context.Context, counters []Counter) (Attempts, error) {
	var own Attempts
	var wait time.Duration
	for i, c := range counters {
		a, err := s.Store.Attempts(ctx, c)
		if err != nil {
			return Attempts{}, fmt.Errorf("log in: %w", err)
		}
		if i == 0 {
			own = a
		}
		wait = max(wait, a.Wait(s.Now()))
	}
	if wait > 0 {
		return Attempts{}, failure.TooMany("too_many_attempts", wait, "Too many failed attempts. Wait before the next one.")
	}
	return own, nil
}

// rehash moves an account to the cost that is set now, at the only moment at which the
// password is known. Until then its logins take another time than those of unknown
// emails. A failure is for the next login to mend.
func (s *Service) rehash(ctx context.Context, slot password.Slot, u User, text string) User {
	if slot.Current(u.PasswordHash) {
		return u
	}
	hash, err := slot.Hash(text)
	if err == nil {
		err = s.Store.Rehash(ctx, u.ID, u.PasswordHash, hash)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "a password keeps its old hash", "user", u.ID, "error", err)
		return u
	}
	u.PasswordHash = hash
	return u
}

func (s *Service) session(u User, refresh string) (Session, error) {
	access, validFor, err := s.Signer.Sign(u, s.Now())
	if err != nil {
		return Session{}, fmt.Errorf("log in: %w", err)
	}
	return Session{AccessToken: access, ExpiresIn: validFor, RefreshToken: refresh}, nil
}

// Refresh exchanges a refresh token for a session. Each token works once: when one
// comes again, its whole family ends.
func (s *Service) Refresh(ctx context.Context, refresh string) (Session, error) {
	now := s.Now()
	text, hash := newSecret()
	u, err := s.Store.Rotate(ctx, hashSecret(refresh), RefreshToken{Hash: hash, ExpiresAt: now.Add(s.RefreshTTL)}, now)
	if err != nil {
		return Session{}, fmt.Errorf("refresh: %w", err)
	}
	return s.session(u, text)
}

// Logout ends the family of a refresh token. One that is unknown is no error (RFC
// 7009, section 2.2).
func (s *Service) Logout(ctx context.Context, refresh string) error {
	return s.Store.EndFamily(ctx, hashSecret(refresh))
}

// ChangePassword replaces a password and ends every refresh token of the user. Wrong
// current passwords delay the next attempts of this user, and no logins.
func (s *Service) ChangePassword(ctx context.Context, userID int64, current, next string) error {
	if reason := password.Check(next); reason != "" {
		return failure.Invalid("body.newPassword", "%s", reason)
	}
	u, err := s.Store.ByID(ctx, userID)
	if err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	if u, err = s.authenticate(ctx, u.Email, current, passwordCounters(userID)); err != nil {
		return err
	}
	hash, err := s.hash(ctx, next)
	if err != nil {
		return err
	}
	if err := s.Store.SetPassword(ctx, u.ID, u.PasswordHash, hash); err != nil {
		return fmt.Errorf("change the password: %w", err)
	}
	s.Log.InfoContext(ctx, "password changed", "user", u.ID)
	return nil
}

// SetDisabled lets a manager disable an account or enable it again. A disabled user
// cannot log in or refresh; an access token made before works until it expires.
func (s *Service) SetDisabled(ctx context.Context, by, userID int64, disabled bool) (User, error) {
	if by == userID && disabled {
		return User{}, ErrOwnAccount
	}
	u, err := s.Store.SetDisabled(ctx, userID, disabled)
	if err != nil {
		return User{}, fmt.Errorf("change user %d: %w", userID, err)
	}
	s.Log.InfoContext(ctx, "account changed", "user", u.ID, "disabled", disabled, "by", by)
	return u, nil
}
