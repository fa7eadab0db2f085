package database_test

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/failure"
)

func server(number uint16) error {
	return fmt.Errorf("write: %w", &mysqldriver.MySQLError{Number: number})
}

func TestErrorsAreClassified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err                              error
		unavailable, transient, conflict bool
	}{
		"connection refused":    {&net.OpError{Op: "dial", Err: errors.New("refused")}, true, true, false},
		"connection broken":     {driver.ErrBadConn, true, true, false},
		"unexpected EOF":        {io.ErrUnexpectedEOF, true, true, false},
		"deadline":              {context.DeadlineExceeded, true, true, false},
		"too many connections":  {server(1040), true, true, false},
		"read-only":             {server(1290), true, true, false},
		"table not there yet":   {server(1146), true, true, false},
		"column renamed":        {server(1054), true, true, false},
		"deadlock":              {server(1213), false, false, true},
		"lock wait":             {server(1205), false, false, true},
		"lock not available":    {server(3572), false, false, true},
		"same rows written":     {fmt.Errorf("insert: %w", database.ErrRetry), false, false, true},
		"lock wait, classified": {database.Classify(server(1205)), false, false, true},
		"disk full":             {server(1114), true, true, false},
		"no primary component":  {server(1047), true, true, false},
		"error during commit":   {server(1180), true, true, false},
		"no group":              {server(3100), true, true, false},
		"no space":              {server(1021), true, true, false},
		"storage error":         {server(1030), true, true, false},
		"packet too large":      {server(1153), false, false, false},
		"grant revoked":         {server(1142), false, true, false},
		"certificate":           {&tls.CertificateVerificationError{Err: errors.New("expired")}, false, true, false},
		"repeated conflicts":    {failure.Unavailable(1, errors.New("again")), false, true, false},
		"value too long":        {server(1406), false, false, false},
		"check constraint":      {server(3819), false, false, false},
		"a bug":                 {errors.New("nil map"), false, false, false},
	} {
		if got := database.IsUnavailable(c.err); got != c.unavailable {
			t.Errorf("%s: IsUnavailable = %v", name, got)
		}
		if got := database.IsTransient(c.err); got != c.transient {
			t.Errorf("%s: IsTransient = %v", name, got)
		}
		if got := database.IsConflict(c.err); got != c.conflict {
			t.Errorf("%s: IsConflict = %v", name, got)
		}
	}
}
