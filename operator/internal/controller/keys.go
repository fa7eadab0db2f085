package controller

import (
	"context"
	"fmt"
	"strings"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/jwtkey"
)

// component of Secrets that belong to no single one.
const stackComponent = "stack"

// keys sees to the keys that sign tokens, what verifiers get of them, and the first
// Manager's account.
func (p *pass) keys(ctx context.Context) (outcome, error) {
	signing, active, err := p.signingKeys(ctx)
	if err != nil {
		return outcome{}, err
	}
	verifying, err := signing.Verifying().Encode()
	if err != nil {
		return outcome{}, err
	}
	if _, err := p.secret(ctx, stackComponent, name(p.stack, "jwt"), func(data secretData) error {
		data["jwks.json"] = verifying
		return nil
	}); err != nil {
		return outcome{}, err
	}
	if err := p.manager(ctx); err != nil {
		return outcome{}, err
	}
	p.stack.Status.JWT = &v1alpha1.JWTStatus{ActiveKeyID: active}
	return done("%s key %s signs; the manager's account is in Secret %s", p.stack.Spec.JWT.Algorithm, active, managerSecret(p.stack))
}

// signingKeys makes the first key. Later ones are made beside it and never by a repair:
// a set that cannot be read is a person's to mend, because every token depends on it.
func (p *pass) signingKeys(ctx context.Context) (jwtkey.Set, string, error) {
	var set jwtkey.Set
	secret, err := p.secret(ctx, charts.Auth, name(p.stack, "auth-jwt"), func(data secretData) error {
		if len(data["jwks.json"]) == 0 {
			key, err := jwtkey.New(p.stack.Spec.JWT.Algorithm)
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
			return &unusable{fmt.Sprintf("its key jwks.json cannot sign (%v): delete the Secret, and a new key is made", err)}
		}
		if !set.Has(string(data["active"])) {
			data.set("active", set.Keys[0].ID)
		}
		return nil
	})
	if err != nil {
		return set, "", err
	}
	return set, string(secret.Data["active"]), nil
}

// manager makes the manager's account, or looks whether the given one can be used.
func (p *pass) manager(ctx context.Context) error {
	if ref := p.stack.Spec.Manager.SecretRef; ref != nil {
		account, err := p.given(ctx, "spec.manager.secretRef", ref.Name, "email", "password")
		if err != nil {
			return err
		}
		if n := len(account["password"]); n < 8 || n > 72 {
			return &unusable{fmt.Sprintf("spec.manager.secretRef names Secret %s, whose password has %d bytes: give one of 8 to 72", ref.Name, n)}
		}
		if !strings.Contains(account["email"], "@") {
			return &unusable{fmt.Sprintf("spec.manager.secretRef names Secret %s, whose email is no address: give one such as manager@shop.example", ref.Name)}
		}
		return nil
	}
	_, err := p.secret(ctx, stackComponent, managerSecret(p.stack), func(data secretData) error {
		email := p.stack.Spec.Manager.Email
		if email == "" {
			email = defaultManager
		}
		data.set("email", email)
		return data.generate("password")
	})
	return err
}
