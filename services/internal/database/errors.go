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

// retryAfter is what a caller is told to wait while the database is away.
const retryAfter = 2 * time.Second

// Server errors that this package tells apart:
// https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
const (
	tooManyConnections   = 1040
	accessDeniedDB       = 1044
	accessDenied         = 1045
	unknownDatabase      = 1049
	serverShutdown       = 1053
	duplicateEntry       = 1062
	noSuchTable          = 1146
	tooManyUserConns     = 1203
	lockWaitTimeout      = 1205
	deadlock             = 1213
	readOnly             = 1290
	queryInterrupted     = 1317
	readOnlyMode         = 1836
	connectionKilled     = 1927 // MariaDB
	statementTimeout     = 1969 // MariaDB
	maxExecutionTime     = 3024
	deadlockOnCommit     = 3101
	checkViolated        = 3819
	checkViolatedMariaDB = 4025
)

// aboutTheData are the errors by which the server refuses what a statement holds or
// how it is written: whoever sends it again gets the same answer.
var aboutTheData = []uint16{
	1048, // a column cannot be null
	1054, // unknown column
	1064, // syntax
	duplicateEntry,
	1136, // column count
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
	checkViolated,
	checkViolatedMariaDB,
}

// IsUnavailable says that the database could not do the work now, and may later:
// it is away, starting, overloaded, read-only, or not yet migrated. Nothing is
// wrong with what was asked. Whether the work was done is unknown when the
// connection broke during a commit.
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
	switch number(err) {
	case tooManyConnections, accessDeniedDB, accessDenied, unknownDatabase, serverShutdown, noSuchTable,
		tooManyUserConns, readOnly, queryInterrupted, connectionKilled, readOnlyMode, statementTimeout,
		maxExecutionTime:
		return true
	}
	return IsConflict(err)
}

// MayPass says that err is not certainly the fault of what was asked: the database is
// unavailable, or the server has a trouble of its own, such as a full disk or a
// revoked grant. A consumer waits then, because to give a message up would lose it.
func MayPass(err error) bool {
	if IsUnavailable(err) || failure.KindOf(err) == failure.KindUnavailable {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	n := number(err)
	return n != 0 && !slices.Contains(aboutTheData, n)
}

// IsConflict says that the transaction lost against another one and was rolled
// back: repeating it may succeed at once.
func IsConflict(err error) bool {
	switch number(err) {
	case lockWaitTimeout, deadlock, deadlockOnCommit:
		return true
	}
	return false
}

// IsDuplicate says that a unique key exists already.
func IsDuplicate(err error) bool {
	return errors.Is(err, gorm.ErrDuplicatedKey) || number(err) == duplicateEntry
}

// IsCheckViolation says that a CHECK constraint refused a row.
func IsCheckViolation(err error) bool {
	n := number(err)
	return errors.Is(err, gorm.ErrCheckConstraintViolated) || n == checkViolated || n == checkViolatedMariaDB
}

// Classify makes an unavailable database a failure that every border knows. Other
// errors, among them those that are classified already, stay as they are.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure.Error](err); ok || !IsUnavailable(err) {
		return err
	}
	return failure.Unavailable(retryAfter, err)
}

func number(err error) uint16 {
	if e, ok := errors.AsType[*mysqldriver.MySQLError](err); ok {
		return e.Number
	}
	return 0
}
