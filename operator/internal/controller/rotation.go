package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// Annotations of a Secret with the state of its rotation. With the data, they are the whole
// state, so that a rotation continues where an operator that stopped has left it.
const (
	// rotatedAnnotation is when the credential was last replaced (RFC 3339).
	rotatedAnnotation = "ecommerce-stack.dev/rotated-at"
	// requestAnnotation is the last request on the stack that the credential fulfills.
	requestAnnotation = "ecommerce-stack.dev/rotation-request"
	// retiringAnnotation is the name of the account that pods may still use.
	retiringAnnotation = "ecommerce-stack.dev/retiring"
)

// Keys of a Secret with the credential that the current one is about to be replaced with.
const (
	nextUsername = "next-username"
	nextPassword = "next-password"
)

// schedule is when credentials are rotated.
type schedule struct {
	interval time.Duration // 0 is never
	request  string        // the value of the stack's annotation that requests a rotation
}

func (r *reconciliation) credentialSchedule() schedule {
	return schedule{r.stack.Spec.Credentials.RotationInterval.Duration, r.stack.Annotations[v1alpha1.RotateCredentialsAnnotation]}
}

func (r *reconciliation) keySchedule() schedule {
	return schedule{r.stack.Spec.JWT.RotationInterval.Duration, r.stack.Annotations[v1alpha1.RotateKeysAnnotation]}
}

// due reports whether the credential in a Secret has to be rotated. generated is when that
// was created or last rotated.
func (s schedule) due(annotations map[string]string, generated time.Time) bool {
	return s.request != "" && s.request != annotations[requestAnnotation] ||
		s.interval > 0 && !time.Now().Before(generated.Add(s.interval))
}

// fulfilled records that the current credential fulfills the schedule.
func (s schedule) fulfilled(c secretContent) {
	if s.request != "" {
		c.annotations[requestAnnotation] = s.request
	}
}

// rotated records that the credential was replaced.
func (s schedule) rotated(c secretContent) {
	s.fulfilled(c)
	c.annotations[rotatedAnnotation] = time.Now().UTC().Format(time.RFC3339)
}

// generatedAt returns when the credential in a Secret was created or last rotated.
func generatedAt(secret *corev1.Secret) time.Time {
	if at := rotatedAt(secret); !at.IsZero() {
		return at
	}
	return secret.CreationTimestamp.Time
}

// rotatedAt returns when the credential in a Secret was last rotated, or the zero time.
func rotatedAt(secret *corev1.Secret) time.Time {
	at, err := time.Parse(time.RFC3339, secret.Annotations[rotatedAnnotation])
	if err != nil {
		return time.Time{}
	}
	return at
}

// pairedAccount is an account of a service at MySQL or RabbitMQ. It has two names, of which
// one is in use: a rotation creates an account with the other name, switches the Secret to
// it, waits until no pod uses the first one any more, and removes that.
type pairedAccount struct {
	service string // whose pods use it
	secret  string // name of the Secret
	// names are those of the pair, and then that before there were pairs.
	names []string
	// connection returns the key and the value in the Secret that pods use.
	connection func(username, password string) (key, value string)
}

// login is a name with its password.
type login struct{ username, password string }

// accountState is the state of a pairedAccount.
type accountState struct {
	pairedAccount
	Secret *corev1.Secret
	// Logins are those that must exist: the current one, and during a rotation the next.
	Logins []login
	// Unused are the names that must not exist. One that pods may still use is in neither list.
	Unused []string
}

// isRotating reports whether there is a next login.
func (s accountState) isRotating() bool { return len(s.Logins) > 1 }

// ensureAccount ensures the Secret of an account, and begins a rotation that is due.
func (r *reconciliation) ensureAccount(ctx context.Context, account pairedAccount) (accountState, error) {
	state := accountState{pairedAccount: account}
	schedule := r.credentialSchedule()
	var retiring string
	secret, err := r.ensureSecret(ctx, account.service, account.secret, func(c secretContent) error {
		if c.get("username") == "" {
			c.set("username", account.names[0])
			schedule.fulfilled(c)
		}
		if err := c.generate("password"); err != nil {
			return err
		}
		if retiring = c.annotations[retiringAnnotation]; retiring != "" {
			replaced, err := r.podsReplaced(ctx, account.service)
			if err != nil {
				return err
			}
			if replaced {
				delete(c.annotations, retiringAnnotation)
				retiring = ""
			}
		}
		key, value := account.connection(c.get("username"), c.get("password"))
		c.set(key, value)
		return nil
	})
	if err != nil {
		return state, err
	}
	idle := retiring == "" && secret.Annotations[provisionedAnnotation] != "" && len(secret.Data[nextUsername]) == 0
	if idle && schedule.due(secret.Annotations, generatedAt(secret)) {
		if err := r.updateSecret(ctx, secret, func(c secretContent) error {
			c.set(nextUsername, account.other(c.get("username")))
			return c.generate(nextPassword)
		}); err != nil {
			return state, err
		}
	}
	state.Secret = secret
	r.rotated = append(r.rotated, secret)
	state.Logins = []login{{string(secret.Data["username"]), string(secret.Data["password"])}}
	if next := secret.Data[nextUsername]; len(next) > 0 {
		state.Logins = append(state.Logins, login{string(next), string(secret.Data[nextPassword])})
	}
	if retiring != "" || state.isRotating() {
		r.recheckAfter(requeueInterval)
	}
	for _, name := range account.names {
		if name != retiring && !state.uses(name) {
			state.Unused = append(state.Unused, name)
		}
	}
	return state, nil
}

// other returns the name of the pair that is not current.
func (a pairedAccount) other(current string) string {
	if current == a.names[0] {
		return a.names[1]
	}
	return a.names[0]
}

func (s accountState) uses(name string) bool {
	for _, login := range s.Logins {
		if login.username == name {
			return true
		}
	}
	return false
}

// switchAccounts makes the next logins, which exist now, the current ones. The pods are
// replaced by the phase of the workloads, because the checksum of their Secrets changes.
func (r *reconciliation) switchAccounts(ctx context.Context, system string, states []accountState) error {
	var names []string
	for _, state := range states {
		if !state.isRotating() {
			continue
		}
		if err := r.updateSecret(ctx, state.Secret, func(c secretContent) error {
			c.annotations[retiringAnnotation] = c.get("username")
			c.set("username", c.get(nextUsername))
			c.set("password", c.get(nextPassword))
			delete(c.data, nextUsername)
			delete(c.data, nextPassword)
			key, value := state.connection(c.get("username"), c.get("password"))
			c.set(key, value)
			r.credentialSchedule().rotated(c)
			return nil
		}); err != nil {
			return err
		}
		rotations.WithLabelValues(kindAccount).Inc()
		names = append(names, state.Logins[1].username)
	}
	if len(names) > 0 {
		r.recordEvent(normal, "Rotated", "Switch"+system+"Accounts",
			fmt.Sprintf("The services use new accounts of %s: %s", system, strings.Join(names, ", ")))
	}
	return nil
}

// ensureAdminSecret ensures the Secret of an embedded server's administrator, and begins a
// rotation that is due. Only the operator uses the account, so it has no pair: the next
// password is stored beside the current one until the server has accepted it.
func (r *reconciliation) ensureAdminSecret(ctx context.Context, system, component, suffix, username string, others ...string) (*corev1.Secret, error) {
	schedule := r.credentialSchedule()
	secret, err := r.ensureSecret(ctx, component, objectName(r.stack, suffix), func(c secretContent) error {
		c.set("username", username)
		if c.get("password") == "" {
			schedule.fulfilled(c)
		}
		for _, key := range append(others, "password") {
			if err := c.generate(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.rotated = append(r.rotated, secret)
	r.admins[system] = secret
	if len(secret.Data[nextPassword]) > 0 || !schedule.due(secret.Annotations, generatedAt(secret)) {
		return secret, nil
	}
	return secret, r.updateSecret(ctx, secret, func(c secretContent) error { return c.generate(nextPassword) })
}

// switchAdmin makes the next password of an administrator, which the server has accepted,
// the current one.
func (r *reconciliation) switchAdmin(ctx context.Context, system string, secret *corev1.Secret) error {
	if err := r.updateSecret(ctx, secret, func(c secretContent) error {
		c.set("password", c.get(nextPassword))
		delete(c.data, nextPassword)
		r.credentialSchedule().rotated(c)
		return nil
	}); err != nil {
		return err
	}
	rotations.WithLabelValues(kindAdministrator).Inc()
	r.recordEvent(normal, "Rotated", "Switch"+system+"Administrator", fmt.Sprintf("The administrator of %s has a new password", system))
	return nil
}

// podsReplaced reports whether every pod of a service, also one that is stopping, has the
// credentials that are in the Secrets now. It reads from the API server, because the cache
// may not have a pod yet that uses older ones.
func (r *reconciliation) podsReplaced(ctx context.Context, service string) (bool, error) {
	checksums, _, err := r.secretChecksums(ctx)
	if err != nil {
		return false, err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	err = r.apiReader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: objectName(r.stack, service)}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read Deployment %s: %w", objectName(r.stack, service), err)
	}
	var deployment appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
		return false, fmt.Errorf("decode Deployment %s: %w", object.GetName(), err)
	}
	// A ReplicaSet of older pods may be about to replace one of them.
	status := deployment.Status
	if deployment.Spec.Template.Annotations[checksumAnnotation] != checksums[service] ||
		status.ObservedGeneration < deployment.Generation || status.Replicas > status.UpdatedReplicas {
		return false, nil
	}
	pods, err := r.pods(ctx, service)
	if err != nil {
		return false, err
	}
	for _, pod := range pods {
		if pod.Annotations[checksumAnnotation] != checksums[service] {
			return false, nil
		}
	}
	return true, nil
}

// pods returns the pods of a service that have not ended.
func (r *reconciliation) pods(ctx context.Context, service string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := r.apiReader.List(ctx, &list, client.InNamespace(r.stack.Namespace), client.MatchingLabels(apply.Labels(r.stack.Name, service))); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", service, err)
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// reportCredentials sets status.credentials from the Secrets that the phases have ensured.
func (r *reconciliation) reportCredentials() {
	var oldest, last time.Time
	for _, secret := range r.rotated {
		if at := generatedAt(secret); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		if at := rotatedAt(secret); at.After(last) {
			last = at
		}
	}
	status := &v1alpha1.CredentialsStatus{}
	if !last.IsZero() {
		status.LastRotation = new(metav1.NewTime(last))
	}
	if !oldest.IsZero() {
		status.NextRotation = r.credentialSchedule().nextRotation(oldest)
	}
	r.stack.Status.Credentials = nil
	if *status != (v1alpha1.CredentialsStatus{}) {
		r.stack.Status.Credentials = status
	}
}

// nextRotation returns when a credential that was generated at a time is rotated, or nil.
func (s schedule) nextRotation(generated time.Time) *metav1.Time {
	if s.interval == 0 {
		return nil
	}
	return new(metav1.NewTime(generated.Add(s.interval)))
}

// recheckAfter makes the stack be reconciled again after at most d.
func (r *reconciliation) recheckAfter(d time.Duration) {
	if r.recheck == 0 || d < r.recheck {
		r.recheck = d
	}
}
