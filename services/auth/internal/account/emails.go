package account

import (
	"context"
	"errors"
	"fmt"
)

// emailPage is the number of accounts that NormalizeEmails reads at once.
const emailPage = 500

// NormalizeEmails replaces the emails that earlier releases stored in another form than that of
// NormalizeEmail, and returns the number of accounts that keep theirs, because another account has
// the normalized one. It logs each of those: only people can decide to which account the mailbox
// belongs. They can log in with the email as they typed it when they registered.
func (s *Service) NormalizeEmails(ctx context.Context) (duplicates int, err error) {
	for after := int64(0); ; {
		users, err := s.Store.InternationalEmails(ctx, after, emailPage)
		if err != nil {
			return duplicates, fmt.Errorf("normalize emails: %w", err)
		}
		for _, u := range users {
			after = u.ID
			email := NormalizeEmail(u.Email)
			if email == u.Email {
				continue
			}
			switch err := s.Store.SetEmail(ctx, u.ID, u.Email, email); {
			case errors.Is(err, ErrEmailTaken):
				duplicates++
				s.Log.WarnContext(ctx, "two accounts have one mailbox", "userId", u.ID, "email", u.Email, "normalized", email)
			case err != nil:
				return duplicates, fmt.Errorf("normalize emails: %w", err)
			default:
				s.Log.InfoContext(ctx, "email normalized", "userId", u.ID)
			}
		}
		if len(users) < emailPage {
			return duplicates, nil
		}
	}
}

// byEmail returns the user whose email is as it was typed, or else normalized.
func (s *Service) byEmail(ctx context.Context, typed, normalized string) (User, error) {
	if typed != normalized {
		if u, err := s.Store.ByEmail(ctx, typed); !errors.Is(err, ErrUserNotFound) {
			return u, err
		}
	}
	return s.Store.ByEmail(ctx, normalized)
}
