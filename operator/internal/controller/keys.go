package controller

import (
	"context"
	"fmt"
	"strings"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/jwtkey"
)

// sharedComponent is the component label of Secrets that several components use.
const sharedComponent = "stack"

// reconcileKeys reconciles the JWT signing keys, the key set for verifiers, and the
// credentials of the first Manager.
func (r *reconciliation) reconcileKeys(ctx context.Context) (phaseResult, error) {
	signing, active, err := r.ensureSigningKeys(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	verifying, err := signing.VerifierSet().Encode()
	if err != nil {
		return phaseResult{}, err
	}
	if _, err := r.ensureSecret(ctx, sharedComponent, objectName(r.stack, "jwt"), func(data secretData) error {
		data["jwks.json"] = verifying
		return nil
	}); err != nil {
		return phaseResult{}, err
	}
	if err := r.ensureManagerAccount(ctx); err != nil {
		return phaseResult{}, err
	}
	r.stack.Status.JWT = &v1alpha1.JWTStatus{ActiveKeyID: active}
	return phaseReady("%s key %s signs access tokens; the manager's credentials are in Secret %s", r.stack.Spec.JWT.Algorithm, active, managerSecretName(r.stack))
}

// ensureSigningKeys generates the first signing key. An existing key set is never replaced,
// because that would invalidate all tokens: if it is invalid, a person must decide.
func (r *reconciliation) ensureSigningKeys(ctx context.Context) (jwtkey.Set, string, error) {
	var set jwtkey.Set
	secret, err := r.ensureSecret(ctx, charts.Auth, objectName(r.stack, "auth-jwt"), func(data secretData) error {
		if len(data["jwks.json"]) == 0 {
			key, err := jwtkey.New(r.stack.Spec.JWT.Algorithm)
			if err != nil {
				return err
			}
			encoded, err := jwtkey.Set{Keys: []jwtkey.Key{key}}.Encode()
			if err != nil {
				return err
			}
			data["jwks.json"] = encoded
			data.set("active", key.ID)
		}
		var err error
		if set, err = jwtkey.Parse(data["jwks.json"]); err != nil {
			return &invalidInputError{fmt.Sprintf("its key jwks.json is not a valid signing set (%v): delete the Secret to generate a new key", err)}
		}
		if !set.Has(string(data["active"])) {
			data.set("active", set.Keys[0].ID)
		}
		return nil
	})
	if err != nil {
		return set, "", err
	}
	return set, string(secret.Data["active"]), r.recordRetained(ctx, secret)
}

// ensureManagerAccount generates the manager's credentials, or validates those of
// secretRef.
func (r *reconciliation) ensureManagerAccount(ctx context.Context) error {
	if ref := r.stack.Spec.Manager.SecretRef; ref != nil {
		account, err := r.readSecret(ctx, "spec.manager.secretRef", ref.Name, "email", "password")
		if err != nil {
			return err
		}
		if n := len(account["password"]); n < 8 || n > 72 {
			return &invalidInputError{fmt.Sprintf("spec.manager.secretRef refers to Secret %s, whose password has %d bytes: set one of 8 to 72 bytes", ref.Name, n)}
		}
		if !strings.Contains(account["email"], "@") {
			return &invalidInputError{fmt.Sprintf("spec.manager.secretRef refers to Secret %s, whose email is not an email address: set one such as manager@shop.example", ref.Name)}
		}
		return nil
	}
	_, err := r.ensureSecret(ctx, sharedComponent, managerSecretName(r.stack), func(data secretData) error {
		email := r.stack.Spec.Manager.Email
		if email == "" {
			email = defaultManagerEmail
		}
		data.set("email", email)
		return data.generate("password")
	})
	return err
}
