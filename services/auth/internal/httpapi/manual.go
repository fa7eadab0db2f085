package httpapi

import (
	_ "embed" // for manualText
	"time"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/openapi"
)

//go:embed manual.md
var manualText string

// manual documents the operations for the developers of clients.
var manual = openapi.Manual{
	Text: manualText,
	Refusals: map[string][]error{
		"register-user":    {account.ErrEmailTaken, idempotency.ErrKeyReused},
		"register-manager": {account.ErrEmailTaken, account.ErrAccountDisabled, idempotency.ErrKeyReused},
		"log-in":           {account.ErrInvalidCredentials, account.ErrAccountDisabled, account.TooManyAttempts(time.Second)},
		"refresh":          {account.ErrInvalidRefreshToken},
		"change-password":  {account.ErrInvalidCredentials, account.ErrAccountDisabled, account.ErrUserNotFound, account.TooManyAttempts(time.Second)},
		"get-me":           {account.ErrUserNotFound},
		"get-user":         {account.ErrUserNotFound},
		"change-user":      {account.ErrUserNotFound, account.ErrOwnAccount, account.ErrLastManager, account.ErrAccountDisabled},
	},
}
