package httpapi

import (
	_ "embed" // for the text
	"time"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/server"
)

//go:embed manual.md
var manualText string

// manual is for the teams that call the operations.
var manual = server.Manual{
	Text: manualText,
	Refusals: map[string][]error{
		"register-user":    {account.ErrEmailTaken},
		"register-manager": {account.ErrEmailTaken},
		"log-in":           {account.ErrInvalidCredentials, account.ErrDisabled, tooManyAttempts},
		"refresh":          {account.ErrInvalidToken},
		"change-password":  {account.ErrInvalidCredentials, account.ErrDisabled, account.ErrNotFound, tooManyAttempts},
		"get-me":           {account.ErrNotFound},
		"get-user":         {account.ErrNotFound},
		"change-user":      {account.ErrNotFound, account.ErrOwnAccount},
	},
}

var tooManyAttempts = failure.TooMany("too_many_attempts", time.Second, "Too many failed attempts. Wait before the next one.")
