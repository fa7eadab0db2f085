package controller

import (
	"bytes"
	"context"
	"fmt"

	"ecommerce-stack.dev/operator/internal/jwtkey"
)

// sharedComponent is the component label of Secrets that several components use.
const sharedComponent = "stack"

// reconcileKeys reconciles the JWT signing keys, the key set for verifiers, and the
// credentials of the first Manager.
func (r *reconciliation) reconcileKeys(ctx context.Context) (phaseResult, error) {
	keys, err := r.ensureSigningKeys(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	verifying, err := keys.set.VerifierSet().Encode()
	if err != nil {
		return phaseResult{}, err
	}
	if _, err := r.ensureSecret(ctx, sharedComponent, objectName(r.stack, verifierKeys), func(c secretContent) error {
		c.data[keySetName] = verifying
		return nil
	}); err != nil {
		return phaseResult{}, err
	}
	if err := r.ensureManagerAccount(ctx); err != nil {
		return phaseResult{}, err
	}
	if err := r.recordRetained(ctx, keys.secret); err != nil {
		return phaseResult{}, err
	}
	restoration, err := r.restoreManager(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	r.stack.Status.JWT = keys.status(r.keySchedule())
	message := fmt.Sprintf("%s key %s signs access tokens; the manager's credentials are in Secret %s", keys.algorithm(), keys.active, managerSecretName(r.stack))
	if keys.progress != "" {
		message += "; rotation: " + keys.progress
	}
	if restoration != "" {
		message += "; restoration of the manager: " + restoration
	}
	if r.stack.Spec.JWT.Algorithm == jwtkey.HS256 {
		message += "; every service holds this key: in production, set spec.jwt.algorithm to EdDSA"
	}
	return phaseReady("%s", message)
}

// ensureManagerAccount generates the manager's credentials, or validates those of
// secretRef.
func (r *reconciliation) ensureManagerAccount(ctx context.Context) error {
	if ref := r.stack.Spec.Manager.SecretRef; ref != nil {
		account, err := r.readSecret(ctx, "spec.manager.secretRef", ref.Name, "email", "password")
		if err != nil {
			return err
		}
		if n := len(account.Data["password"]); n < 8 || n > 72 {
			return &invalidInputError{fmt.Sprintf("spec.manager.secretRef refers to Secret %s, whose password has %d bytes: set one of 8 to 72 bytes", ref.Name, n)}
		}
		if !bytes.ContainsRune(account.Data["email"], '@') {
			return &invalidInputError{fmt.Sprintf("spec.manager.secretRef refers to Secret %s, whose email is not an email address: set one such as manager@shop.example", ref.Name)}
		}
		return nil
	}
	_, err := r.ensureSecret(ctx, sharedComponent, managerSecretName(r.stack), func(c secretContent) error {
		email := r.stack.Spec.Manager.Email
		if email == "" {
			email = defaultManagerEmail
		}
		c.set("email", email)
		return c.generate("password")
	})
	return err
}
