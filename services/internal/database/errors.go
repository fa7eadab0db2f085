package database

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/failure"
)

// retryAfter is the Retry-After of a response while the database is unavailable.
const retryAfter = 2 * time.Second

// Error numbers of the server that this package distinguishes:
// https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
const (
	diskFull           = 1021
	storageError       = 1030 // mostly a full disk: error 28 of the system
	tooManyConnections = 1040
	accessDeniedDB     = 1044
	accessDenied       = 1045
	noPrimary          = 1047 // a node of Galera that is not in the primary component
	unknownDatabase    = 1049
	serverShutdown     = 1053
	unknownColumn      = 1054
	duplicateEntry     = 1062
	tableFull          = 1114 // also when the disk is full
	noSuchTable        = 1146
	errorDuringCommit  = 1180
	tooManyUserConns   = 1203
	lockWaitTimeout    = 1205
	deadlock           = 1213
	readOnly           = 1290
	lockNotAvailable   = 3572 // of a statement with NOWAIT; 1205 in MariaDB
	queryInterrupted   = 1317
	readOnlyMode       = 1836
	connectionKilled   = 1927 // MariaDB
	statementTimeout   = 1969 // MariaDB
	maxExecutionTime   = 3024
	hookFailed         = 3100 // group replication cannot commit
	deadlockOnCommit   = 3101
)

// permanentErrors are the errors that a statement causes by its text or its values, so that
// it fails again when it is repeated.
var permanentErrors = []uint16{
	1048, // a column cannot be null
	1064, // syntax
	duplicateEntry,
	1136, // column count
	1153, // larger than max_allowed_packet
	1264, // out of range
	1292, // incorrect value
	1364, // no default
	1366, // incorrect string or number
	1406, // too long
	1452, // foreign key
	1525, // incorrect value
	1690, // result out of range
	3140, // invalid JSON text
	3144, // JSON from a binary string
	3819, // check constraint
	4025, // check constraint (MariaDB)
}

// IsUnavailable reports whether err is caused by the state of the database: it is down,
// starting, overloaded, read-only, without space, or its schema is that of another release, as during a
// rolling upgrade. The same statements may succeed later. When the connection broke during a
// commit, they may also have succeeded.
func IsUnavailable(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysqldriver.ErrInvalidConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	switch errorNumber(err) {
	case diskFull, storageError, tableFull, tooManyConnections, accessDeniedDB, accessDenied, noPrimary, unknownDatabase, serverShutdown, unknownColumn, noSuchTable,
		errorDuringCommit, hookFailed, tooManyUserConns, readOnly, queryInterrupted, connectionKilled, readOnlyMode, statementTimeout,
		maxExecutionTime:
		return true
	}
	return false
}

// IsTransient reports whether err may be resolved without a change of the statements: the
// database is unavailable, or the server has another problem, such as a revoked
// privilege. Consumers retry after such errors instead of dead-lettering the
// message. A conflict is not transient: it concerns only the work that needs the locked rows.
func IsTransient(err error) bool {
	if IsConflict(err) {
		return false
	}
	if IsUnavailable(err) || failure.KindOf(err) == failure.KindUnavailable {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	n := errorNumber(err)
	return n != 0 && !slices.Contains(permanentErrors, n)
}

// IsConflict reports whether the transaction was rolled back because another one had locked or
// written its rows.
func IsConflict(err error) bool { return isLockWait(err) || isRetryable(err) }

// isLockWait reports whether a lock was not released in time.
func isLockWait(err error) bool {
	n := errorNumber(err)
	return n == lockWaitTimeout || n == lockNotAvailable
}

// isRetryable reports whether the transaction may succeed when it is repeated at once.
func isRetryable(err error) bool {
	n := errorNumber(err)
	return n == deadlock || n == deadlockOnCommit || errors.Is(err, ErrRetry)
}

// IsDuplicate reports whether a row with the same unique key exists.
func IsDuplicate(err error) bool {
	return errors.Is(err, gorm.ErrDuplicatedKey) || errorNumber(err) == duplicateEntry
}

// Classify returns err as a failure of kind failure.KindUnavailable if IsUnavailable(err) or
// IsConflict(err).
// It returns other errors, among them those that are a *failure.Error already, unchanged.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure.Error](err); ok || !IsUnavailable(err) && !IsConflict(err) {
		return err
	}
	return failure.Unavailable(retryAfter, err)
}

// errorNumber returns the number of an error of the server, or 0.
func errorNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return e.Number
	}
	return 0
}
