package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/jwtkey"
)

// Keys of the Secret with the signing keys.
const (
	keySetName    = "jwks.json"
	activeKeyName = "active"
)

// Annotations of the Secret with the signing keys. With rotatedAnnotation and
// requestAnnotation they are the state of a rotation, which has four steps: publish a key to
// all verifiers; when every pod verifies with it, sign with it; when every pod of auth does,
// wait until the last token of the previous key has expired; remove that key.
const (
	nextKeyAnnotation = "ecommerce-stack.dev/next-key"
	// retireAnnotation is when the previous keys are removed (RFC 3339).
	retireAnnotation = "ecommerce-stack.dev/retire-keys-at"
	// longestTokenAnnotation is the longest lifetime that tokens of the keys may have.
	longestTokenAnnotation = "ecommerce-stack.dev/longest-token"
)

// retireMargin is added to the lifetime of tokens, for the clocks of nodes.
const retireMargin = 30 * time.Second

// signingKeys is the content of the Secret with the signing keys.
type signingKeys struct {
	set    jwtkey.Set
	active string
	secret *corev1.Secret
	// progress describes what a rotation waits for, or "".
	progress string
}

func (k signingKeys) algorithm() string { return k.set.Get(k.active).Algorithm }

func (k signingKeys) status(s schedule) *v1alpha1.JWTStatus {
	status := &v1alpha1.JWTStatus{ActiveKeyID: k.active, NextRotation: s.nextRotation(generatedAt(k.secret))}
	if at := rotatedAt(k.secret); !at.IsZero() {
		status.LastRotation = new(metav1.NewTime(at))
	}
	return status
}

// ensureSigningKeys generates the first signing key, and rotates it. An existing key set is
// never replaced, because that would invalidate all tokens: if it is invalid, a person must
// decide.
func (r *reconciliation) ensureSigningKeys(ctx context.Context) (signingKeys, error) {
	var keys signingKeys
	var generated time.Time
	secret, err := r.ensureSecret(ctx, charts.Auth, objectName(r.stack, "auth-jwt"), func(c secretContent) error {
		if len(c.data[keySetName]) == 0 {
			key, err := jwtkey.New(r.stack.Spec.JWT.Algorithm)
			if err != nil {
				return err
			}
			if err := setKeys(c, jwtkey.Set{Keys: []jwtkey.Key{key}}); err != nil {
				return err
			}
			c.set(activeKeyName, key.ID)
			generated = time.Now()
			r.keySchedule().fulfilled(c)
		}
		set, err := jwtkey.Parse(c.data[keySetName])
		if err != nil {
			return &invalidInputError{fmt.Sprintf("its key %s is not a valid signing set (%v): delete the Secret to generate a new key", keySetName, err)}
		}
		if !set.Has(c.get(activeKeyName)) {
			c.set(activeKeyName, set.Keys[0].ID)
		}
		return nil
	})
	if err != nil {
		return keys, err
	}
	if generated.IsZero() {
		generated = generatedAt(secret)
	}
	before := string(secret.Data[activeKeyName])
	if err := r.updateSecret(ctx, secret, func(c secretContent) error {
		keys.progress, err = r.rotateKeys(ctx, c, generated)
		return err
	}); err != nil {
		return keys, err
	}
	if active := string(secret.Data[activeKeyName]); active != before {
		rotations.WithLabelValues(kindKey).Inc()
		r.recordEvent(normal, "Rotated", "SwitchJWTKey", fmt.Sprintf("JWT key %s signs access tokens instead of key %s", active, before))
	}
	if keys.set, err = jwtkey.Parse(secret.Data[keySetName]); err != nil {
		return keys, err
	}
	keys.secret, keys.active = secret, string(secret.Data[activeKeyName])
	return keys, nil
}

func setKeys(c secretContent, set jwtkey.Set) error {
	encoded, err := set.Encode()
	c.data[keySetName] = encoded
	return err
}

// rotateKeys makes at most one step of a rotation, and returns what it waits for. generated
// is when the active key began to sign.
func (r *reconciliation) rotateKeys(ctx context.Context, c secretContent, generated time.Time) (progress string, err error) {
	set, err := jwtkey.Parse(c.data[keySetName])
	if err != nil {
		return "", err
	}
	r.recordTokenLifetime(c)
	active, next := c.get(activeKeyName), c.annotations[nextKeyAnnotation]
	algorithm := r.stack.Spec.JWT.Algorithm
	switch {
	case next != "" && set.Has(next):
		waiting, err := r.findPod(ctx, services, func(report keyReport) bool { return !slices.Contains(report.Verifies, next) })
		if err != nil {
			return "", err
		}
		if waiting != "" {
			r.recheckAfter(requeueInterval)
			return fmt.Sprintf("waiting until pod %s verifies with key %s", waiting, next), nil
		}
		c.set(activeKeyName, next)
		delete(c.annotations, nextKeyAnnotation)
		r.keySchedule().rotated(c)
		r.recheckAfter(requeueInterval)
		return "the previous key verifies until its tokens have expired", nil
	case len(set.Keys) > 1:
		return r.retireKeys(ctx, c, set)
	case set.Get(active).Algorithm != algorithm || r.keySchedule().due(c.annotations, generated):
		key, err := jwtkey.New(algorithm)
		if err != nil {
			return "", err
		}
		set.Keys = append(set.Keys, key)
		c.annotations[nextKeyAnnotation] = key.ID
		r.recheckAfter(requeueInterval)
		return fmt.Sprintf("key %s is published to all pods", key.ID), setKeys(c, set)
	}
	return "", nil
}

// recordTokenLifetime keeps the longest lifetime of tokens since the last rotation: after a
// shorter one was set, there are still tokens of the longer one.
func (r *reconciliation) recordTokenLifetime(c secretContent) {
	if lifetime := r.stack.Spec.JWT.AccessTokenTTL.Duration; lifetime > longestToken(c) {
		c.annotations[longestTokenAnnotation] = lifetime.String()
	}
}

func longestToken(c secretContent) time.Duration {
	lifetime, err := time.ParseDuration(c.annotations[longestTokenAnnotation])
	if err != nil {
		return 0
	}
	return lifetime
}

// retireKeys removes the keys that are not active, when all their tokens have expired.
func (r *reconciliation) retireKeys(ctx context.Context, c secretContent, set jwtkey.Set) (progress string, err error) {
	active := c.get(activeKeyName)
	at, err := time.Parse(time.RFC3339, c.annotations[retireAnnotation])
	if err != nil {
		waiting, err := r.findPod(ctx, []string{charts.Auth}, func(report keyReport) bool { return report.Signs != active })
		if err != nil {
			return "", err
		}
		if waiting != "" {
			r.recheckAfter(requeueInterval)
			return fmt.Sprintf("waiting until pod %s signs with key %s", waiting, active), nil
		}
		at = time.Now().Add(longestToken(c) + retireMargin).UTC().Truncate(time.Second)
		c.annotations[retireAnnotation] = at.Format(time.RFC3339)
	}
	if left := time.Until(at); left > 0 {
		r.recheckAfter(left)
		return fmt.Sprintf("the previous key verifies until %s, when its tokens have expired", at.Format(time.RFC3339)), nil
	}
	delete(c.annotations, retireAnnotation)
	delete(c.annotations, longestTokenAnnotation)
	r.recordTokenLifetime(c)
	return "", setKeys(c, jwtkey.Set{Keys: []jwtkey.Key{set.Get(active)}})
}

// keyReport is what a pod reports about the keys that it uses. The services define it, in
// authn.Verifier.KeysHandler.
type keyReport struct {
	Verifies []string `json:"verifies"`
	Signs    string   `json:"signs"`
}

const (
	// reportTimeout limits the request for one report, and maxReport its size in bytes.
	reportTimeout = 2 * time.Second
	maxReport     = 64 << 10
)

// findPod returns the name of a pod of the services whose report matches, or that does not
// report, or "" if there is none. A pod that is not on a node yet does not count: it starts
// with the keys of then.
func (r *reconciliation) findPod(ctx context.Context, of []string, matches func(keyReport) bool) (string, error) {
	transport := r.newTransport(nil)
	for _, service := range of {
		pods, err := r.pods(ctx, service)
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if pod.Spec.NodeName == "" {
				continue
			}
			if report, ok := readReport[keyReport](ctx, transport, pod.Status.PodIP, "/jwt-keys"); !ok || matches(report) {
				return pod.Name, nil
			}
		}
	}
	return "", nil
}

// readReport reports whether the pod at an address has a report at a path. Why it has none does not
// matter: the pod may be starting, stopping, or of a version that does not report.
func readReport[T any](ctx context.Context, transport http.RoundTripper, address, path string) (report T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, metricsPort)+path, nil)
	if err != nil {
		return report, false
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return report, false
	}
	defer response.Body.Close()
	err = json.NewDecoder(http.MaxBytesReader(nil, response.Body, maxReport)).Decode(&report)
	return report, err == nil && response.StatusCode == http.StatusOK
}
