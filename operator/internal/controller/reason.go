package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/operator/internal/serverversion"
)

// Reasons of conditions and Events. A workload that does not become ready has the reason
// that Kubernetes gives, such as ErrImagePull.
const (
	reasonAsSpecified    = "AsSpecified"
	reasonWaiting        = "Waiting"
	reasonPaused         = "Paused"
	reasonDeleting       = "Deleting"
	reasonQueuesDegraded = "QueuesDegraded"

	reasonFailed             = "Failed"
	reasonVersionTooOld      = "VersionTooOld"
	reasonUnreachable        = "Unreachable"
	reasonAccessDenied       = "AccessDenied"
	reasonCertificateInvalid = "CertificateInvalid"
	reasonNotOwned           = "NotOwned"
	reasonMismatch           = "Mismatch"
	reasonInvalidInput       = "InvalidInput"
	reasonImmutableField     = "ImmutableField"
	reasonInvalid            = "Invalid"
	reasonForbidden          = "Forbidden"
	reasonQuotaExceeded      = "QuotaExceeded"
)

// invalidInputError is returned for invalid user input that the CRD schema cannot detect.
// Only a person can correct it.
type invalidInputError struct{ message string }

func (e *invalidInputError) Error() string { return e.message }

// MySQL's numbers of errors about the rights of an account
// (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html).
var accessErrors = map[uint16]bool{1044: true, 1045: true, 1142: true, 1227: true, 1698: true}

// errorReason returns the reason of the condition for an error, and whether the error
// persists until a person acts, so that retrying soon does not help.
func errorReason(err error) (reason string, terminal bool) {
	var (
		conflict    *ownership.ConflictError
		foreign     *apply.NotOwnedError
		mismatch    *rabbitmq.MismatchError
		immutable   *immutableFieldError
		input       *invalidInputError
		tooOld      *serverversion.TooOldError
		sql         *driver.MySQLError
		broker      rabbithole.ErrorResponse
		network     net.Error
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &conflict), errors.As(err, &foreign):
		return reasonNotOwned, true
	case errors.As(err, &mismatch):
		return reasonMismatch, true
	case errors.As(err, &immutable):
		return reasonImmutableField, true
	case errors.As(err, &input):
		return reasonInvalidInput, true
	case errors.As(err, &tooOld):
		return reasonVersionTooOld, true
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return reasonInvalid, true
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return reasonQuotaExceeded, true
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reasonForbidden, false
	case apierrors.IsForbidden(err):
		return reasonForbidden, true
	case errors.As(err, &sql) && accessErrors[sql.Number],
		errors.Is(err, rabbitmq.ErrAccessDenied), errors.As(err, &broker) && broker.StatusCode == http.StatusForbidden:
		return reasonAccessDenied, true
	case errors.As(err, &certificate):
		return reasonCertificateInvalid, true
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return reasonUnreachable, false
	}
	return reasonFailed, false
}

// isTerminal reports whether an error persists until a person acts.
func isTerminal(err error) bool {
	_, terminal := errorReason(err)
	return terminal
}
