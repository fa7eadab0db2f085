package account

import (
	"context"
	"fmt"
)

// RestoreManager creates a Manager as EnsureManager does, or makes the existing account an enabled
// Manager with the password and revokes its tokens. It does so once for each request, and then
// changes nothing, also when the account is changed later.
func (s *Service) RestoreManager(ctx context.Context, email, text, request string) error {
	if err := s.EnsureManager(ctx, email, text); err != nil {
		return err
	}
	if done, err := s.Store.IsRestored(ctx, request); done || err != nil {
		return err
	}
	u, err := s.byEmail(ctx, typedEmail(email), NormalizeEmail(email))
	if err != nil {
		return fmt.Errorf("restore the manager: %w", err)
	}
	hash, err := s.hash(ctx, text)
	if err != nil {
		return err
	}
	restored, err := s.Store.RestoreManager(ctx, u.ID, hash, request)
	if err != nil {
		return err
	}
	if restored {
		s.Log.WarnContext(ctx, "the account of MANAGER_EMAIL was restored", "userId", u.ID, "wasDisabled", u.Disabled, "previousRole", u.Role)
	}
	return nil
}
