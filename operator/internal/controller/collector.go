package controller

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// collectTimeout limits the time of a scrape that waits for the cache.
const collectTimeout = 5 * time.Second

var (
	conditionDesc = prometheus.NewDesc("ecommerce_stack_condition",
		"1 for the status that a condition of a stack has, 0 for the others.",
		[]string{"namespace", "stack", "condition", "status"}, nil)
	credentialDesc = prometheus.NewDesc("ecommerce_stack_credential_created_timestamp_seconds",
		"Unix time at which a credential of a stack was generated or last rotated.",
		[]string{"namespace", "stack", "credential"}, nil)
	rotationDesc = prometheus.NewDesc("ecommerce_stack_next_rotation_timestamp_seconds",
		"Unix time at which the credentials of a stack are due for rotation: accounts or keys.",
		[]string{"namespace", "stack", "kind"}, nil)
	certificateDesc = prometheus.NewDesc("ecommerce_stack_certificate_expiry_timestamp_seconds",
		"Unix time at which the first certificate of the chain in a Secret of a stack expires.",
		[]string{"namespace", "stack", "secret"}, nil)
)

// Condition types with series. A stack that was never reconciled has no conditions: those of
// the first list are then Unknown. Those of the second list exist only for some stacks.
var (
	conditionTypes = []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionBrokerReady, v1alpha1.ConditionKeysReady,
		v1alpha1.ConditionWorkloadsReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	}
	optionalConditionTypes = []string{
		v1alpha1.ConditionClientAddressKnown, v1alpha1.ConditionHTTPRouteApplied, v1alpha1.ConditionPodMonitorsApplied,
	}
	conditionStatuses = []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
)

// stackCollector exports the state of the stacks in the cache, as kube-state-metrics does
// for other kinds: there is no state to update, and the series of a deleted stack disappear.
// Conditions and credentials come from every replica of the operator, certificates only from
// the leader.
type stackCollector struct {
	reader       client.Reader
	certificates *certificates
}

// Describe implements prometheus.Collector.
func (c *stackCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- conditionDesc
	descs <- credentialDesc
	descs <- rotationDesc
	descs <- certificateDesc
}

// Collect implements prometheus.Collector. A scrape before the cache has started or during a
// shutdown gets the other metrics.
func (c *stackCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	stacks, secrets := &v1alpha1.ECommerceStackList{}, &corev1.SecretList{}
	if err := errors.Join(c.reader.List(ctx, stacks), c.reader.List(ctx, secrets, client.MatchingLabelsSelector{Selector: apply.ManagedSelector})); err != nil {
		if _, starting := errors.AsType[*cache.ErrCacheNotStarted](err); !starting {
			log.Log.Error(err, "state of the stacks not exported")
		}
		return
	}
	created := map[types.NamespacedName]time.Time{}
	for i := range secrets.Items {
		created[client.ObjectKeyFromObject(&secrets.Items[i])] = generatedAt(&secrets.Items[i])
	}
	for i := range stacks.Items {
		c.collectStack(metrics, &stacks.Items[i], created)
	}
}

func (c *stackCollector) collectStack(metrics chan<- prometheus.Metric, stack *v1alpha1.ECommerceStack, created map[types.NamespacedName]time.Time) {
	export := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{stack.Namespace, stack.Name}, labels...)...)
	}
	exportCondition := func(condition string, current metav1.ConditionStatus) {
		for _, status := range conditionStatuses {
			value := 0.0
			if status == current {
				value = 1
			}
			export(conditionDesc, value, condition, string(status))
		}
	}
	for _, condition := range conditionTypes {
		current := metav1.ConditionUnknown
		if found := meta.FindStatusCondition(stack.Status.Conditions, condition); found != nil {
			current = found.Status
		}
		exportCondition(condition, current)
	}
	for _, condition := range optionalConditionTypes {
		if found := meta.FindStatusCondition(stack.Status.Conditions, condition); found != nil {
			exportCondition(condition, found.Status)
		}
	}
	for _, credential := range credentials {
		at, found := created[types.NamespacedName{Namespace: stack.Namespace, Name: objectName(stack, credential)}]
		if found && (credential != managerCredential || stack.Spec.Manager.SecretRef == nil) {
			export(credentialDesc, float64(at.Unix()), credential)
		}
	}
	if credentials := stack.Status.Credentials; credentials != nil && credentials.NextRotation != nil {
		export(rotationDesc, float64(credentials.NextRotation.Unix()), "accounts")
	}
	if keys := stack.Status.JWT; keys != nil && keys.NextRotation != nil {
		export(rotationDesc, float64(keys.NextRotation.Unix()), "keys")
	}
	for secret, expiry := range c.certificates.of(stack.UID) {
		export(certificateDesc, float64(expiry.Unix()), secret)
	}
}

// certificates records when the certificates of stacks expire. It is safe for concurrent
// use.
type certificates struct {
	mu     sync.Mutex
	expiry map[types.UID]map[string]time.Time // by stack and name of the Secret
}

func newCertificates() *certificates {
	return &certificates{expiry: map[types.UID]map[string]time.Time{}}
}

// record replaces the times of a stack.
func (c *certificates) record(stack types.UID, expiry map[string]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiry[stack] = expiry
}

// forget removes the times of a stack.
func (c *certificates) forget(stack types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.expiry, stack)
}

func (c *certificates) of(stack types.UID) map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.expiry[stack])
}

// observeCertificates records when the certificates in the Secrets expire that the gateway
// and the Ingress use. They are read from the API server, because the operator does not
// manage them. A Secret that cannot be read or holds no certificate has no time; the phases
// and the Ingress controller report it.
func (r *reconciliation) observeCertificates(ctx context.Context) {
	expiry := map[string]time.Time{}
	gateway := r.stack.Spec.Gateway
	var names []string
	if gateway.TLS != nil {
		names = append(names, gateway.TLS.SecretName)
	}
	if gateway.Ingress != nil && gateway.Ingress.TLSSecretName != "" {
		names = append(names, gateway.Ingress.TLSSecretName)
	}
	for _, name := range names {
		secret := &corev1.Secret{}
		if err := r.apiReader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: name}, secret); err != nil {
			log.FromContext(ctx).V(1).Info("certificate not read", "secret", name, "error", err.Error())
			continue
		}
		if at := firstExpiry(secret.Data[corev1.TLSCertKey]); !at.IsZero() {
			expiry[name] = at
		}
	}
	r.certificates.record(r.stack.UID, expiry)
}

// firstExpiry returns when the first of the certificates in PEM expires, or the zero time if
// there is none.
func firstExpiry(chain []byte) time.Time {
	var first time.Time
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (first.IsZero() || certificate.NotAfter.Before(first)) {
			first = certificate.NotAfter
		}
	}
	return first
}
